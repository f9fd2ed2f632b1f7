// The inspector beside an answer: what LangChain told while it was made, and how to ask the same again.

import { json } from "./api.js";
import { copyButton, el } from "./dom.js";
import { duration, jsonBlock, styled } from "./draw.js";
import { gapPlot } from "./plot.js";
import * as snippets from "./snippets.js";
import { tabs } from "./tabs.js";
import { Timeline } from "./timeline.js";
import { dollars, Trace } from "./trace.js";

const VERSION = 1;
const WAYS = [
  ["curl", snippets.curl],
  ["Python, openai", snippets.openai],
  ["Python, langchain-openai", snippets.langchain],
  ["Endpoint file", snippets.endpoint],
];

/** What was told of one answer. Until it is opened it only keeps that. */
export class Inspector {
  #container;
  #request;
  #model;
  #headers;
  #objects = [];
  #ended = false;
  #view = null;

  /**
   * @param {HTMLElement} container Where it is drawn, once it is opened.
   * @param {object} given
   * @param {Record<string, any>} given.request The body that was sent.
   * @param {string} given.model The model's name.
   * @param {Record<string, string>} given.headers The headers that go with what it asks the server.
   */
  constructor(container, { request, model, headers = {} }) {
    this.#container = container;
    this.#request = request;
    this.#model = model;
    this.#headers = headers;
  }

  /** Take the next object of `/inspector/answer`. */
  add(object) {
    this.#objects.push(object);
    this.#view?.add(object);
  }

  /** Say that nothing more comes. */
  end() {
    this.#ended = true;
    this.#view?.end();
  }

  get isOpen() {
    return this.#view !== null;
  }

  /** Draw it. */
  open() {
    if (this.#view) return;
    styled();
    this.#view = new View(this.#request, this.#model, this.#headers);
    for (const each of this.#objects) this.#view.add(each);
    if (this.#ended) this.#view.end();
    this.#view.draw();
    this.#container.replaceChildren(this.#view.element);
  }

  /** Take it away again; what was told stays. */
  close() {
    this.#view?.stop();
    this.#view = null;
    this.#container.replaceChildren();
  }

  /** Return what has to be kept of it, as JSON; a piece that is nothing but text is kept as a list. */
  toJSON() {
    const runs = new Map();
    const events = this.#objects.map((object) => {
      const text = bareText(object);
      if (text === null) return object;
      const { run_id: id } = object;
      if (!runs.has(id)) runs.set(id, { at: runs.size, name: object.name, run_id: id, parent_ids: object.parent_ids });
      return [object.at, runs.get(id).at, text];
    });
    const kept = [...runs.values()].map(({ at, ...run }) => run);
    return { version: VERSION, request: this.#request, model: this.#model, ended: this.#ended, runs: kept, events };
  }

  /**
   * Make one of what `toJSON` returned.
   * @throws {TypeError} It is of a version that this one does not know.
   */
  static fromJSON(container, data, { headers = {} } = {}) {
    if (data?.version !== VERSION) throw new TypeError(`a timeline of version ${data?.version}; ${VERSION} is known`);
    const made = new Inspector(container, { request: data.request, model: data.model, headers });
    for (const each of data.events) made.add(Array.isArray(each) ? piece(each, data.runs) : each);
    if (data.ended) made.end();
    return made;
  }
}

/** Return the text of a piece that is nothing else; null of any other object. */
function bareText(object) {
  const chunk = object.event === "on_chat_model_stream" ? object.data.chunk : null;
  if (!chunk || typeof chunk.text !== "string") return null;
  const { text, ...more } = chunk;
  const empty = Object.values(more).every((each) => !each || Object.keys(each).length === 0);
  return empty ? text : null;
}

function piece([at, run, text], runs) {
  const chunk = { text, reasoning: "", tool_call_chunks: [], usage: null, response_metadata: {} };
  return { type: "event", at, event: "on_chat_model_stream", ...runs[run], data: { chunk } };
}

/** What is drawn of an inspector. */
class View {
  #trace = new Trace();
  #figures = el("dl", { className: "in-figures" });
  #error = el("p", { className: "in-error", hidden: true });
  #timeline = null;
  #plot = null;
  #plotted = -1;
  #frame = 0;
  #request;
  #headers;

  constructor(request, model, headers) {
    this.#request = request;
    this.#headers = headers;
    const parts = tabs("Inspector", [
      ["Timeline", (panel) => panel.append((this.#timeline = new Timeline(this.#trace)).element)],
      ["Gaps", (panel) => this.#drawGaps(panel)],
      ["Request", (panel) => this.#drawRequest(panel)],
      ["Prompt", (panel) => this.#drawPrompt(panel)],
      ["Code", (panel) => this.#drawCode(panel)],
    ]);
    this.element = el("section", { className: "in-inspector", "aria-label": `Inspector of an answer of ${model}` });
    this.element.append(this.#figures, this.#error, ...parts);
  }

  add(object) {
    this.#trace.add(object);
    this.#soon();
  }

  end() {
    this.#trace.doneAt ??= this.#trace.rows.at(-1)?.at ?? 0;
    this.#soon();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#plot?.stop();
  }

  /** Draw what has come, with the next frame. */
  #soon() {
    this.#frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#drawFigures();
    this.#timeline?.update();
    if (this.#plot && this.#trace.doneAt !== null) this.#drawGaps(this.#plot.panel);
  }

  #drawFigures() {
    const it = this.#trace.summary();
    const told = [
      ["First piece", duration(it.firstToken)],
      ["Speed", it.rate === null ? null : `${it.rate.toFixed(it.rate < 10 ? 1 : 0)} ${it.rateOf}/s`],
      ["Pieces", it.pieces.toLocaleString("en")],
      ["Tokens", it.outputTokens === null ? null : `${it.inputTokens} in, ${it.outputTokens} out`],
      ["Duration", duration(it.duration)],
      ["Cost", it.cost === null ? null : dollars(it.cost)],
      ["Ended by", it.finish],
      ["Model", it.model],
    ];
    const { error } = this.#trace;
    this.#error.hidden = !error;
    this.#error.textContent = error ? `${error.status ?? ""} ${error.message}`.trim() : "";
    const known = told.filter(([, value]) => value !== null);
    this.#figures.replaceChildren(
      ...known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    );
  }

  /** Draw the plot; until the answer has ended it stays as it was when it was looked at. */
  #drawGaps(panel) {
    const gaps = this.#trace.gaps();
    if (gaps.length === this.#plotted) return;
    this.#plotted = gaps.length;
    this.#plot?.stop();
    this.#plot = { panel, stop: gapPlot(panel, gaps) };
  }

  #drawRequest(panel) {
    const body = this.#request;
    const bar = el("div", { className: "in-bar-of-buttons" }, copyButton(() => JSON.stringify(body, null, 2), "in-button"));
    panel.append(bar, jsonBlock(body, "The request"));
  }

  async #drawPrompt(panel) {
    panel.replaceChildren(el("p", { className: "in-note", role: "status" }, "Asking the server …"));
    try {
      const { request } = await json("/inspector/explain", this.#request, { headers: this.#headers });
      const note = el("p", { className: "in-note" }, "What the LLM is given, its secrets masked. Nothing was sent.");
      const bar = el("div", { className: "in-bar-of-buttons" }, note, copyButton(() => JSON.stringify(request, null, 2), "in-button"));
      panel.replaceChildren(bar, ...promptBlocks(request), jsonBlock(request, "The exact request"));
    } catch (error) {
      const again = el("button", { type: "button", className: "in-button" }, "Ask again");
      again.addEventListener("click", () => this.#drawPrompt(panel));
      panel.replaceChildren(el("p", { className: "in-note in-bad", role: "alert" }, error.message), again);
    }
  }

  #drawCode(panel) {
    const needsKey = Object.keys(this.#headers).some((name) => /^(authorization|x-api-key)$/i.test(name));
    const asked = { request: this.#request, origin: location.origin, needsKey };
    const draw = (make) => (inner) => {
      const text = make(asked);
      const code = el("pre", { className: "in-code", tabindex: "0", role: "region", "aria-label": "Code" }, text);
      inner.append(el("div", { className: "in-bar-of-buttons" }, copyButton(() => text, "in-button")), code);
    };
    panel.append(...tabs("Copy as", WAYS.map(([name, make]) => [name, draw(make)])));
  }
}

/** Return the texts of a request that have lines, such as a prompt that a template has made, as they are. */
function promptBlocks(request) {
  const texts = Object.entries(request).filter(([, each]) => typeof each === "string" && each.includes("\n"));
  return texts.map(([name, text]) =>
    el("pre", { className: "in-code", tabindex: "0", role: "region", "aria-label": `The ${name}` }, text));
}
