// What `chatwright check` finds of a model, as it is found.

import { events } from "./api.js";
import { el } from "./dom.js";
import { counted, duration, jsonBlock, styled } from "./draw.js";

const WORDS = { PASS: "passed", WARN: "warned", FAIL: "failed", SKIP: "skipped" };
const DETAILS = [["got", "Got"], ["expected", "Expected"], ["sent", "Sent"], ["fix", "Fix"], ["cause", "Cause"], ["fault", "Fault"]];

/**
 * Draw what checks a model.
 * @param {HTMLElement} container
 * @param {object} given
 * @param {string} given.model The model's name.
 * @param {Record<string, string>} given.headers The headers that go with the request.
 * @returns {() => void} What ends a check that runs.
 */
export function checkPanel(container, { model, headers = {} }) {
  styled();
  const panel = new Panel(model, headers);
  container.replaceChildren(panel.element);
  return () => panel.stop();
}

class Panel {
  #model;
  #headers;
  #abort = null;
  #counts = {};
  #passes = [];
  #begun = 0;
  #button = el("button", { type: "button", className: "in-button in-main" }, "Run the check");
  #status = el("p", { className: "in-note", role: "status" });
  #now = el("p", { className: "in-now", hidden: true });
  #tally = el("ul", { className: "in-tally", "aria-label": "So far" });
  #list = el("ul", { className: "in-findings", "aria-label": "Findings" });
  #passed = el("details", { className: "in-passed", hidden: true });
  #rules = el("ul", { className: "in-findings" });

  constructor(model, headers) {
    this.#model = model;
    this.#headers = headers;
    this.#button.addEventListener("click", () => (this.#abort ? this.stop() : this.#run()));
    const about = "Every rule of the contract is tried with a scripted answer in place of the LLM’s. The model is never called for real.";
    this.#status.textContent = about;
    const bar = el("div", { className: "in-bar-of-buttons" }, this.#button, this.#status);
    this.element = el("section", { className: "in-inspector in-check", "aria-label": `Check of ${model}` }, bar);
    this.element.append(this.#now, this.#tally, this.#list, this.#passed);
  }

  stop() {
    this.#abort?.abort();
  }

  async #run() {
    this.#abort = new AbortController();
    this.#counts = {};
    this.#passes = [];
    this.#begun = performance.now();
    this.#button.textContent = "Stop";
    this.#status.textContent = "Waiting for its turn …";
    for (const each of [this.#tally, this.#list, this.#rules]) each.replaceChildren();
    this.#passed.hidden = true;
    this.#passed.replaceChildren(el("summary"), this.#rules);
    let end = "The check ended without a report.";
    try {
      const asked = { headers: this.#headers, signal: this.#abort.signal };
      for await (const each of events("/inspector/check", { model: this.#model }, asked)) {
        end = this.#take(each) ?? end;
      }
    } catch (error) {
      end = error.name === "AbortError" ? "Stopped." : error.message;
    }
    this.#abort = null;
    this.#now.hidden = true;
    this.#status.textContent = end;
    this.#button.textContent = "Run it again";
  }

  /** Take an object of the stream; return what is said at the end, where it is that. */
  #take(told) {
    switch (told.type) {
      case "rule":
        this.#status.textContent = "Trying rule by rule …";
        this.#now.hidden = false;
        this.#now.replaceChildren(el("span", { className: "in-spin", "aria-hidden": "true" }), `Trying ${told.rule}`);
        break;
      case "finding":
        this.#finding(told);
        break;
      case "report":
        return `${told.summary} (${duration(performance.now() - this.#begun)})`;
      case "error":
        return told.message;
    }
    return undefined;
  }

  #finding(found) {
    const { verdict } = found;
    this.#counts[verdict] = (this.#counts[verdict] ?? 0) + 1;
    this.#tally.replaceChildren(
      ...Object.entries(this.#counts).map(([name, count]) =>
        el("li", { className: `in-badge in-${name.toLowerCase()}` }, `${count} ${WORDS[name] ?? name}`)),
    );
    const isQuiet = verdict === "PASS" || verdict === "SKIP";
    (isQuiet ? this.#rules : this.#list).append(el("li", {}, isQuiet ? head(found, "div") : folded(found)));
    if (isQuiet) {
      this.#passes.push(found);
      this.#passed.hidden = false;
      this.#passed.firstElementChild.textContent = `${counted(this.#passes.length, "rule")} passed or skipped`;
    }
  }
}

function head(found, tag) {
  const { verdict, rule, title, seconds } = found;
  const why = verdict === "SKIP" ? el("span", { className: "in-kind" }, ` ${found.got}`) : "";
  const told = el("span", { className: "in-title" }, title, why);
  const badge = el("span", { className: `in-badge in-${verdict.toLowerCase()}` }, verdict);
  return el(tag, { className: "in-finding" }, badge, el("span", { className: "in-rule" }, rule), told,
    el("span", { className: "in-took" }, `${seconds.toFixed(1)} s`));
}

/** Make a finding's fold; its evidence is drawn when it is opened. */
function folded(found) {
  const fold = el("details", {}, head(found, "summary"));
  fold.addEventListener("toggle", () => {
    if (!fold.open || fold.childElementCount > 1) return;
    const list = el("dl", { className: "in-evidence" });
    for (const [name, label] of DETAILS) {
      if (found[name]) list.append(el("dt", {}, label), el("dd", { dir: "auto" }, `${found[name]}`));
    }
    fold.append(list);
    if (found.link?.startsWith("https://")) {
      const link = el("a", { href: found.link, target: "_blank", rel: "noreferrer noopener" }, `About ${found.rule}`);
      fold.append(el("p", { className: "in-note" }, link));
    }
    if (found.exchanges?.length) fold.append(jsonBlock(found.exchanges, `Calls of ${found.rule}`));
  });
  return fold;
}
