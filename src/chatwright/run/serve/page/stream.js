// An answer that is written while it comes: as much in a frame as keeps the page smooth.

import { el } from "./dom.js";
import { lex, patched } from "./markdown.js";

const STEP = 8000; // characters that are read in one frame
const LONGEST_LINE = 32_000; // what comes after is plain text
const LONGEST_BLOCK = 200_000; // likewise
const MOST_ELEMENTS = 20_000; // likewise
const SLOWEST = 250; // milliseconds; likewise, when two frames in a row took longer to read
const PIECE = 8000; // characters of plain text in one block, as a browser breaks all its lines anew on each change

/** Markdown, written into an element. */
export class Stream {
  #waiting = "";
  #open = ""; // the source of the last block, which may go on
  #tokens = [];
  #links = {};
  #scheduled = false;
  #ended = false;
  #slow = 0;
  #pause = 0;
  #plain = null;

  /**
   * @param {Element} container
   * @param {() => void} [changed] Called after each frame's work.
   */
  constructor(container, changed = () => {}) {
    this.container = container;
    this.changed = changed;
    this.done = new Promise((resolve) => (this.resolve = resolve));
  }

  write(text) {
    this.#waiting += text;
    this.#schedule();
  }

  /** Resolves when everything is there. */
  end() {
    this.#ended = true;
    this.#schedule();
    return this.done;
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const work = () => this.#scheduled && this.#work();
    if (this.#pause > 16) setTimeout(() => requestAnimationFrame(work), this.#pause);
    else requestAnimationFrame(work);
    setTimeout(work, this.#pause + 250); // no frame comes while the page is hidden
  }

  #work() {
    this.#scheduled = false;
    const began = performance.now();
    const text = this.#taken();
    this.#read(text);
    this.#pause = Math.min(2 * (performance.now() - began), 500);
    this.changed();
    if (this.#waiting && text) this.#schedule();
    else if (this.#ended) this.resolve();
  }

  /** Take the next step's text, with pairs of surrogates and of CR LF whole. */
  #taken() {
    let end = Math.min(STEP, this.#waiting.length);
    if (/[\uD800-\uDBFF\r]/.test(this.#waiting[end - 1] ?? "") && (end < this.#waiting.length || !this.#ended)) end -= 1;
    const text = this.#waiting.slice(0, end);
    this.#waiting = this.#waiting.slice(end);
    return text.replace(/\r\n?/g, "\n");
  }

  #read(text) {
    if (this.#plain) return this.#addPlain(text);
    this.#open += text;
    const why = this.#whyPlain();
    if (why) return this.#giveUp(why);
    const began = performance.now();
    let tokens;
    try {
      tokens = lex(this.#open, this.#links);
    } catch (error) {
      return this.#giveUp(`this can't be read as Markdown (${error.message})`);
    }
    this.#slow = performance.now() - began > SLOWEST ? this.#slow + 1 : 0;
    this.#tokens = patched(this.container, this.#tokens, tokens);
    this.#settle(tokens);
  }

  /** Leave alone what no further text can change: all but the last block. */
  #settle(tokens) {
    const last = tokens.findLastIndex(({ type }) => type !== "space");
    if (last <= 0) return;
    const settled = tokens.slice(0, last).reduce((sum, { raw }) => sum + raw.length, 0);
    this.#open = this.#open.slice(settled);
    this.#tokens = this.#tokens.slice(-1);
    if (tokens[last].type === "def") this.#tokens = [];
  }

  #whyPlain() {
    if (this.#slow > 1) return "reading it as Markdown takes too long";
    if (this.#open.length > LONGEST_BLOCK) return "a block of it is too long";
    if (this.#open.length > LONGEST_LINE && this.#open.split("\n").some((line) => line.length > LONGEST_LINE))
      return "a line of it is too long";
    if (this.container.getElementsByTagName("*").length > MOST_ELEMENTS) return "it has too many parts";
    return null;
  }

  /** Go on without Markdown, from the last block on. */
  #giveUp(why) {
    for (const { node } of this.#tokens) node.remove();
    this.#plain = el("div", { class: "plain" });
    this.container.append(el("p", { class: "hint" }, `From here on this is plain text, as ${why}.`), this.#plain);
    this.#addPlain(this.#open);
    this.#open = "";
  }

  #addPlain(text) {
    for (let at = 0; at < text.length; at += PIECE) {
      const part = text.slice(at, at + PIECE);
      let last = this.#plain.lastElementChild;
      if (!last || last.textContent.length + part.length > PIECE)
        last = this.#plain.appendChild(el("span", { class: "piece", dir: "auto" }));
      last.append(part);
    }
  }
}
