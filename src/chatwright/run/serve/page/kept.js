// The list of conversations: kept, named, deleted, written to a file and read from one.

import { uid } from "./conversation.js";
import { $, confirmed, el, isKey, notify } from "./dom.js";
import { exported, imported } from "./files.js";
import { Store } from "./store.js";

const CURRENT = "chatwright.current";

function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The conversations in this browser. */
export class Kept {
  #store = null;
  #saving = Promise.resolve();
  #deleted = new Set();
  #seen = new Map(); // of each conversation here, the state in which it was read or kept

  /**
   * @param {{show: (talk: any) => void, fresh: () => any, current: () => any, running: Map<any, AbortController>}} page
   *   What shows a conversation, makes an empty one, and returns the one that is shown; and what aborts the answers
   *   that are being written, by their conversations.
   */
  constructor(page) {
    this.page = page;
    $("new").addEventListener("click", () => this.#open(page.fresh()));
    $("export").addEventListener("click", () => this.#export([page.current()], page.current().title || "conversation"));
    $("export-all").addEventListener("click", async () => this.#export(await this.#all(), "conversations"));
    $("import").addEventListener("click", () => $("import-file").click());
    $("import-file").addEventListener("change", () => this.#import($("import-file")));
    const side = (isOpen) => () => {
      document.body.classList.toggle("with-side", isOpen);
      $("side-open").setAttribute("aria-expanded", String(isOpen));
      (isOpen ? $("new") : $("side-open")).focus();
    };
    $("side-open").addEventListener("click", side(true));
    $("side-close").addEventListener("click", side(false));
    $("side").addEventListener("keydown", (event) => event.key === "Escape" && side(false)());
  }

  /** Show the conversation that was shown last. */
  async start() {
    try {
      this.#store = await Store.open();
    } catch (error) {
      notify(`This browser keeps nothing here, so that conversations are lost with the tab: ${error.message}`, { error: true });
    }
    const last = sessionStorage.getItem(CURRENT) ?? localStorage.getItem(CURRENT);
    const talk = last && this.#store ? await this.#get(last) : null;
    await this.#open(talk ?? this.page.fresh());
  }

  /** Keep a conversation as it is now. */
  save(talk) {
    const copy = structuredClone(talk); // what it becomes meanwhile is kept the next time
    this.#saving = this.#saving.then(async () => {
      try {
        if (this.#store && !this.#deleted.has(copy.id)) await this.#put(talk, copy);
      } catch (error) {
        notify(`The conversation can't be kept: ${error.message}`, { error: true });
      }
      await this.#list();
    });
    return this.#saving;
  }

  async #put(talk, copy) {
    const head = await this.#store.head(copy.id);
    if (head && head.updated !== this.#seen.get(copy.id) && copy.id === talk.id) {
      talk.id = uid();
      talk.title = `${talk.title} (copy)`;
      if (talk === this.page.current()) this.#remember(talk.id);
      notify("Another tab has changed this conversation; what you do here is kept as a copy.");
    }
    Object.assign(copy, { id: talk.id, title: talk.title });
    await this.#store.put(copy);
    this.#seen.set(copy.id, copy.updated);
  }

  #running(id) {
    return [...this.page.running.keys()].find((talk) => talk.id === id);
  }

  async #get(id) {
    await this.#saving; // of an answer that has just ended
    const talk = await this.#store.get(id);
    if (talk) this.#seen.set(id, talk.updated);
    return talk;
  }

  #remember(id) {
    sessionStorage.setItem(CURRENT, id);
    localStorage.setItem(CURRENT, id);
  }

  async #all() {
    await this.#saving;
    return this.#store ? this.#store.all() : [this.page.current()];
  }

  async #open(talk) {
    this.#remember(talk.id);
    document.body.classList.remove("with-side");
    $("side-open").setAttribute("aria-expanded", "false");
    this.page.show(talk);
    await this.#list();
    $("prompt").focus();
  }

  async #list() {
    const heads = this.#store ? await this.#store.heads() : [];
    const isListed = ({ id }) => this.#deleted.has(id) || heads.some((head) => head.id === id);
    heads.unshift(...[...this.page.running.keys()].filter((talk) => !isListed(talk)));
    const current = this.page.current()?.id;
    $("talks").replaceChildren(...heads.map((head) => this.#entry(head, head.id === current)));
  }

  #entry(head, isCurrent) {
    const title = head.title || "Untitled";
    const open = async () => this.#open(this.#running(head.id) ?? (await this.#get(head.id)) ?? this.page.fresh());
    const mark = this.#running(head.id) ? el("span", { class: "answering", id: `answering-${head.id}`, title: "is answering" }, el("span", { class: "unseen" }, "is answering")) : null;
    const entry = el("li", { class: isCurrent ? "current" : null },
      el("button", { type: "button", class: "title", dir: "auto", "aria-current": isCurrent ? "true" : null, "aria-describedby": mark?.id, onclick: open }, title), mark,
      el("button", { type: "button", class: "quiet", "aria-label": `Rename ${title}`, title: "Rename", onclick: () => this.#rename(head, entry) }, "✎"),
      el("button", { type: "button", class: "quiet", "aria-label": `Delete ${title}`, title: "Delete", onclick: () => this.#delete(head) }, "✕"));
    return entry;
  }

  #rename(head, entry) {
    const field = el("input", { value: head.title, dir: "auto", "aria-label": "Name of the conversation" });
    let isDone = false;
    const end = async (name) => {
      if (isDone) return;
      isDone = true;
      const current = this.page.current();
      const talk = current.id === head.id ? current : this.#running(head.id) ?? (await this.#get(head.id));
      if (name) talk.title = name;
      await this.save(talk);
      $("talks").querySelector(".current .title")?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (isKey(event, "Enter")) end(field.value.trim());
      if (isKey(event, "Escape")) {
        event.stopPropagation();
        end("");
      }
    });
    field.addEventListener("blur", () => end(field.value.trim()));
    entry.replaceChildren(field);
    field.focus();
    field.select();
  }

  async #delete({ id, title }) {
    if (!(await confirmed(`Delete “${title || "Untitled"}”? It can't be brought back.`, "Delete"))) return;
    this.#deleted.add(id); // an answer that is being written is not to bring it back
    this.page.running.get(this.#running(id))?.abort();
    const isCurrent = this.page.current().id === id;
    if (isCurrent) await this.#open(this.page.fresh());
    await this.#saving;
    await this.#store.delete(id);
    await this.#list();
    $("new").focus();
  }

  #export(talks, name) {
    download(exported(talks), `${name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "conversation"}.json`);
  }

  async #import(field) {
    const [file] = field.files;
    field.value = "";
    if (!file) return;
    let talks;
    try {
      talks = await imported(file);
      await this.#store.put(...talks);
      for (const { id, updated } of talks) this.#seen.set(id, updated);
    } catch (error) {
      notify(`Nothing was imported. ${error.message}`, { error: true });
      return;
    }
    notify(`${talks.length} conversation${talks.length === 1 ? "" : "s"} imported.`);
    if (talks.length) await this.#open(talks[0]);
  }
}
