// The timeline of an answer: its runs as a tree, and its events as a table, capped.

import { el } from "./dom.js";
import { counted, duration, jsonBlock, newId } from "./draw.js";

const HEAD = 200; // rows from the beginning, at first
const MORE = 500; // by each "show more"
const TAIL = 12; // rows from the end
const RUNS = 200;
const LONGEST = 10_000; // ms, where the bar of a gap is as long as it gets
const WHITE = { "\n": "↵", "\t": "⇥", " ": "·" };

/** Shows a trace, and goes on with it. */
export class Timeline {
  #trace;
  #head = HEAD;
  #drawn = 0;
  #landmarksOnly = false;
  #first = el("tbody");
  #middle = el("tbody");
  #last = el("tbody");
  #runs = el("ol", { className: "in-runs", role: "list", "aria-label": "Runs" });

  /** @param {import("./trace.js").Trace} trace */
  constructor(trace) {
    this.#trace = trace;
    const id = newId();
    const box = el("input", { type: "checkbox", id });
    box.addEventListener("change", () => {
      this.#landmarksOnly = box.checked;
      this.#again();
    });
    const columns = [["At, ms", "in-at"], ["Gap, ms", "in-gap"], ["Event", ""], ["What came", ""]];
    const heads = columns.map(([name, className]) => el("th", { scope: "col", className }, name));
    const table = el("table", { className: "in-events" }, el("caption", { className: "in-hidden" }, "Events"));
    table.append(el("thead", {}, el("tr", {}, ...heads)), this.#first, this.#middle, this.#last);
    const scroll = el("div", { className: "in-scroll", tabindex: "0", role: "region", "aria-label": "Events" }, table);
    const filter = el("label", { className: "in-filter", for: id }, box, "Without the answer’s pieces");
    this.element = el("div", {}, this.#runs, filter, scroll);
    this.update();
  }

  #again() {
    this.#drawn = 0;
    this.#first.replaceChildren();
    this.update();
  }

  /** Show what has come since. */
  update() {
    const rows = this.#landmarksOnly ? this.#trace.landmarks : this.#trace.rows;
    const head = Math.min(rows.length, this.#head);
    const tail = Math.max(head, rows.length - TAIL);
    for (; this.#drawn < head; this.#drawn += 1) this.#first.append(this.#row(rows[this.#drawn]));
    this.#last.replaceChildren(...rows.slice(tail).map((row) => this.#row(row)));
    this.#between(tail - head);
    this.#drawRuns();
  }

  #between(hidden) {
    if (!hidden) {
      this.#middle.replaceChildren();
      return;
    }
    const text = `Show ${Math.min(MORE, hidden)} more of ${counted(hidden, "event")}`;
    const known = this.#middle.querySelector("button");
    if (known) {
      known.textContent = text; // it keeps its focus
      return;
    }
    const button = el("button", { type: "button", className: "in-button" }, text);
    button.addEventListener("click", () => {
      this.#head += MORE;
      this.update();
    });
    this.#middle.append(el("tr", { className: "in-more" }, el("td", { colspan: "4" }, button)));
  }

  #row(row) {
    const { kind, at, gap, run } = row;
    const what = el("td", { className: "in-what" });
    if (row.data) what.append(details(row));
    else what.append(el("span", { className: "in-text", dir: "auto" }, visible(row.text, row.isPiece)));
    const label = el("td", { className: "in-label" }, el("span", { className: `in-dot in-is-${kind}` }), row.label);
    if (row.data) label.append(" ", el("span", { className: "in-kind" }, row.data.event ?? ""));
    label.style.paddingInlineStart = `${0.5 + Math.min(row.depth, 12) * 0.9}rem`;
    const node = el("tr", { className: `in-row in-row-${kind}` }, el("td", { className: "in-at" }, stamp(at)));
    node.append(el("td", { className: "in-gap" }, ...this.#gap(gap)), label, what);
    if (kind === "end" && run) what.prepend(el("span", { className: "in-took" }, duration(run.end - run.start)));
    return node;
  }

  /** Make a gap's cell; its bar is logarithmic, so that one scale holds for all. */
  #gap(gap) {
    if (gap === null) return [];
    const bar = el("span", { className: "in-bar" });
    bar.style.inlineSize = `${(Math.log10(1 + Math.min(gap, LONGEST)) / Math.log10(1 + LONGEST)) * 100}%`;
    return [el("span", {}, `+${gap < 100 ? gap.toFixed(1) : Math.round(gap)}`), bar];
  }

  #drawRuns() {
    const all = [...this.#trace.runs.values()];
    this.#runs.hidden = all.length < 2;
    if (this.#runs.hidden) return;
    const whole = Math.max(1, this.#trace.doneAt ?? 0, ...this.#trace.landmarks.slice(-1).map((row) => row.at));
    this.#runs.replaceChildren(...tree(all.slice(0, RUNS), whole));
    if (all.length > RUNS) this.#runs.append(el("li", {}, `${counted(all.length - RUNS, "further run")} not drawn`));
  }
}

/** Make the items of runs, each with a list of those inside of it, which an indent alone tells to eyes only. */
function tree(runs, whole) {
  const items = new Map();
  const top = [];
  for (const run of runs) {
    const item = el("li", {}, runLine(run, whole));
    const parent = items.get(run.parents.findLast((id) => items.has(id)));
    items.set(run.id, item);
    // Safari takes a list without bullets for none, unless its role says so.
    if (parent) (parent.children[1] ?? parent.appendChild(el("ol", { role: "list" }))).append(item);
    else top.push(item);
  }
  return top;
}

function runLine(run, whole) {
  const bar = el("span", { className: run.failed ? "in-span in-failed" : "in-span" });
  bar.style.insetInlineStart = `${(run.start / whole) * 100}%`;
  bar.style.inlineSize = `${(((run.end ?? whole) - run.start) / whole) * 100}%`;
  const name = el("span", { className: "in-name", title: run.id }, run.name);
  name.style.paddingInlineStart = `${Math.min(run.depth, 12) * 0.9}rem`;
  name.append(el("span", { className: "in-kind" }, ` ${words(run.kind)}`));
  const took = run.end === null ? "…" : duration(run.end - run.start);
  return el("div", { className: "in-run" }, name, el("span", { className: "in-track", "aria-hidden": "true" }, bar), el("span", { className: "in-took" }, took));
}

/** Make the fold of an event's data, which is drawn when it is opened. */
function details(row) {
  const { data } = row;
  const line = el("span", { className: "in-text", dir: "auto" }, visible(row.text, false) || "data");
  const fold = el("details", {}, el("summary", {}, line));
  fold.addEventListener("toggle", () => {
    if (fold.open && fold.childElementCount === 1) {
      fold.append(jsonBlock({ event: data.event, run_id: data.run_id, ...(data.data ?? data) }, `Data of ${row.label}`));
    }
  });
  return fold;
}

const words = (kind) => kind.replaceAll("_", " ");
const stamp = (at) => (typeof at === "number" ? at.toFixed(1) : "");

/** Return a text in which line feeds, tabs and the blanks at its ends can be seen. */
function visible(text, ends) {
  const shown = text.length > 400 ? `${text.slice(0, 400)}…` : text;
  const told = shown.replace(/[\n\t]/g, (each) => WHITE[each]);
  return ends ? told.replace(/^ +| +$/g, (each) => WHITE[" "].repeat(each.length)) : told;
}
