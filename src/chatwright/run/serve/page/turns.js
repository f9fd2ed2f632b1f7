// The turns of a conversation on the page.

import { AnswerView, switcher } from "./answer.js";
import { following, path, siblings } from "./conversation.js";
import { $, copyButton, el, isKey } from "./dom.js";

const NEAR = 48; // pixels from the end within which the page goes on with the answer

/** Shows a conversation; `actions` (`edit`, `retry`, `answerCalls`, `changed`) change it. */
export class Turns {
  #views = new Map();
  #isPinned = true;

  constructor({ headers, actions }) {
    this.headers = headers;
    this.actions = actions;
    this.log = $("log");
    this.log.addEventListener("scroll", () => {
      this.#isPinned = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR;
    }, { passive: true });
  }

  /** Show a conversation, all of it. */
  show(talk) {
    this.talk = talk;
    for (const [id, view] of this.#views) if (!view.isLive) this.#views.delete(id);
    $("turns").replaceChildren(...path(talk).map((turn) => this.#turn(turn)));
    this.#retitle();
    this.toEnd();
  }

  /** Show anew what comes from a turn on. */
  from(turn) {
    const turns = path(this.talk);
    const at = turns.indexOf(turn);
    const shown = [...$("turns").children];
    for (const each of shown.slice(at)) each.remove();
    $("turns").append(...turns.slice(at).map((each) => this.#turn(each)));
    this.#retitle();
  }

  toEnd() {
    this.#isPinned = true;
    this.grew();
  }

  /** Stay at the end, where the reader is. */
  grew = () => {
    if (this.#isPinned) this.log.scrollTop = this.log.scrollHeight;
  };

  view(answer) {
    return this.#views.get(answer.id);
  }

  #retitle() {
    $("empty").hidden = $("turns").children.length > 0;
    $("title").textContent = this.talk.title || "New conversation";
  }

  #turn(turn) {
    const { talk } = this;
    const choose = (n) => {
      siblings(talk, turn).chosen = n;
      this.actions.changed();
      this.from(path(talk).find((each) => siblings(talk, each) === siblings(talk, turn)));
    };
    const lanes = turn.lanes.map((lane, n) => this.#answer(turn, lane, n));
    return el("article", { class: "turn", "data-lanes": lanes.length }, this.#asked(turn, choose), el("div", { class: "lanes" }, ...lanes));
  }

  #asked(turn, choose) {
    const images = turn.images.map((url, n) => el("img", { src: url, alt: `Image ${n + 1}` }));
    const said = el("div", { class: "text", dir: "auto" }, turn.text);
    const edit = el("button", { type: "button", class: "quiet", onclick: () => this.#edit(turn, whole) }, "Edit");
    const buttons = el("div", { class: "buttons" }, switcher(siblings(this.talk, turn), "message", choose), edit, copyButton(() => turn.text));
    const whole = el("section", { class: "asked", "aria-label": "You" }, ...images, said, buttons);
    return whole;
  }

  #edit(turn, whole) {
    if (!this.actions.mayChange()) return;
    const shown = [...whole.childNodes];
    const field = el("textarea", { rows: Math.min(turn.text.split("\n").length + 1, 16), dir: "auto", value: turn.text, "aria-label": "Edit the message" });
    const cancel = () => {
      whole.replaceChildren(...shown);
      whole.querySelector("button:last-of-type").focus();
    };
    const send = (event) => {
      event.preventDefault();
      if (field.value.trim() || turn.images.length) this.actions.edit(turn, field.value);
    };
    const form = el("form", { class: "edit", "aria-label": "Edit the message", onsubmit: send }, field,
      el("div", { class: "row" }, el("button", { type: "button", onclick: cancel }, "Cancel"), el("button", { type: "submit", class: "primary" }, "Send")));
    field.addEventListener("keydown", (event) => {
      if (isKey(event, "Enter") && !event.shiftKey) send(event);
      else if (isKey(event, "Escape")) {
        event.stopPropagation();
        cancel();
      }
    });
    whole.replaceChildren(...whole.querySelectorAll("img"), form);
    field.focus();
  }

  #answer(turn, lane, n) {
    const answer = this.talk.answers[lane.ids[lane.chosen]];
    const known = this.view(answer);
    if (known?.isLive) return known.element; // it went on while another conversation was shown
    const actions = {
      retry: () => this.actions.retry(turn, n),
      answerCalls: (results) => this.actions.answerCalls(turn, n, answer, results),
      choose: (at) => {
        if (!this.actions.mayChange()) return;
        lane.chosen = at;
        following(this.talk, turn);
        this.actions.changed();
        this.from(turn);
      },
    };
    const view = new AnswerView(answer, lane, { headers: this.headers, actions, grew: this.grew });
    if (answer.steps.length) view.finish();
    this.#views.set(answer.id, view);
    return view.element;
  }
}
