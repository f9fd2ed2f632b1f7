// One answer on the page: its steps, each with what was said, what was called, and an inspector.

import { pending } from "./conversation.js";
import { copyButton, el, notify } from "./dom.js";
import { duration, jsonBlock } from "./draw.js";
import { Inspector } from "./inspector.js";
import { Stream } from "./stream.js";

function facts(step) {
  const { usage, first, ms, usd } = step;
  const told = [];
  if (usage?.output_tokens !== undefined) told.push(`${usage.input_tokens} → ${usage.output_tokens} tokens`);
  if (first !== null) told.push(`first after ${duration(first)}`);
  if (ms !== null) told.push(duration(ms));
  if (usd !== null) told.push(`$${usd.toPrecision(3)}`);
  return told.join(" · ");
}

const readable = (given) => {
  try {
    return JSON.stringify(JSON.parse(given || "{}"), null, 2);
  } catch {
    return given;
  }
};

/** What a model said in one go, as it comes or as it was kept. */
export class StepView {
  #inspector = null;

  /**
   * @param {object} step
   * @param {object} given `request`, `model`, `headers()`; `isLive` where it is still to come; `grew()`.
   */
  constructor(step, { request = null, model, headers, isLive = false, grew = () => {} }) {
    this.step = step;
    this.given = { request, model, headers };
    this.thoughts = el("div", { class: "thoughts", dir: "auto" });
    this.reasoning = el("details", { class: "reasoning", hidden: true }, el("summary", {}, "Reasoning"), this.thoughts);
    this.prose = el("div", { class: "prose" });
    this.after = el("div");
    this.facts = el("span", { class: "facts" });
    this.panel = el("div", { class: "inspect", hidden: true });
    this.toggle = el("button", { type: "button", class: "quiet", "aria-expanded": "false", onclick: () => this.inspect() }, "Inspect");
    this.foot = el("div", { class: "foot" }, this.facts, this.toggle);
    const said = el("div", { class: "said" }, this.reasoning, this.prose, this.after, this.foot);
    this.element = el("div", { class: "step" }, said, this.panel);
    this.stream = new Stream(this.prose, grew);
    if (isLive) {
      this.prose.classList.add("live");
      this.#inspector = new Inspector(this.panel, { request, model, headers: headers() });
      return;
    }
    this.think(step.reasoning);
    this.say(step.text);
    this.end();
  }

  add(event) {
    this.#inspector.add(event);
  }

  say(text) {
    if (text) this.stream.write(text);
  }

  think(text) {
    if (!text) return;
    this.reasoning.hidden = false;
    this.thoughts.append(text);
  }

  /** Show what is known when no more comes. */
  async end() {
    const { step } = this;
    if (this.#inspector) {
      this.#inspector.end();
      step.timeline = this.#inspector.toJSON();
    }
    this.toggle.hidden = !this.#inspector && !step.timeline;
    this.facts.textContent = facts(step);
    await this.stream.end();
    this.prose.classList.remove("live");
    if (step.schema && step.text && !step.calls.length) await this.judge();
    if (step.stopped) this.after.append(el("p", { class: "hint" }, "Stopped."));
    if (!step.text && !step.calls.length && !step.error && !step.stopped) this.after.append(el("p", { class: "hint" }, "The answer is empty."));
  }

  async judge() {
    const { judged } = await import("./schema.js");
    const { value, errors, unjudged } = judged(this.step.text, JSON.parse(this.step.schema));
    const [kind, said] = unjudged ? ["hint", `No verdict by the schema: ${unjudged}`] : errors.length ? ["bad", "✗ Does not match the schema"] : ["good", "✓ Matches the schema"];
    const verdict = el("p", { class: `verdict ${kind}` }, said);
    const wrong = errors.length ? el("ul", { class: "wrong" }, ...errors.slice(0, 20).map((each) => el("li", { dir: "auto" }, each))) : null;
    if (value !== undefined) this.prose.replaceChildren(jsonBlock(value, "The answer as JSON"));
    this.after.prepend(verdict, ...(wrong ? [wrong] : []));
  }

  inspect() {
    const isOpen = this.panel.hidden;
    try {
      this.#inspector ??= Inspector.fromJSON(this.panel, this.step.timeline, { headers: this.given.headers() });
      if (isOpen) this.#inspector.open();
    } catch (error) {
      notify(`What was kept of this answer can't be shown: ${error.message}`, { error: true }); // another wrote the file
      return;
    }
    this.panel.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    this.element.classList.toggle("inspecting", isOpen);
    const turn = this.element.closest(".turn");
    turn.classList.toggle("inspecting", turn.querySelector(".step.inspecting") !== null);
  }
}

/** A form in which the user answers a model's calls. */
function callsForm(calls, answered) {
  const parts = calls.map(({ name, arguments: given }, n) => {
    const result = el("textarea", { rows: 2, required: true, dir: "auto", "aria-label": `Result of ${name}${calls.length > 1 ? `, call ${n + 1}` : ""}`, placeholder: "The tool's result" });
    const whole = el("fieldset", {}, el("legend", {}, el("code", {}, name)), el("pre", { dir: "ltr", tabindex: 0, role: "region", "aria-label": `Arguments of ${name}` }, readable(given)), result);
    return { whole, result };
  });
  const send = el("button", { type: "submit", class: "primary" }, calls.length > 1 ? `Send ${calls.length} results` : "Send the result");
  return el("form", {
    class: "calls",
    "aria-label": "Calls to answer",
    onsubmit: (event) => {
      event.preventDefault();
      answered(parts.map(({ result }) => result.value));
    },
  }, ...parts.map(({ whole }) => whole), send);
}

function callShown({ name, arguments: given }, result) {
  return el("details", { class: "call" }, el("summary", {}, "Called ", el("code", {}, name)), el("pre", { dir: "ltr", tabindex: 0, role: "region", "aria-label": `Arguments of ${name}` }, readable(given)),
    result === undefined ? el("p", { class: "hint" }, "It was not answered.") : el("pre", { dir: "auto", tabindex: 0, role: "region", "aria-label": `Result of ${name}` }, result));
}

/** A place among siblings, with buttons to its neighbours. */
export function switcher({ ids, chosen }, what, choose) {
  if (ids.length < 2) return null;
  const to = (by, sign, label) =>
    el("button", { type: "button", class: "quiet", "aria-label": `${label} ${what}`, disabled: !(chosen + by in ids), onclick: () => choose(chosen + by) }, sign);
  return el("span", { class: "switch", role: "group", "aria-label": `Versions of the ${what}` }, to(-1, "‹", "Previous"), el("span", {}, `${chosen + 1} / ${ids.length}`), to(1, "›", "Next"));
}

/** An answer, which `actions` (`retry()`, `choose(n)`, `answerCalls(results)`) change. */
export class AnswerView {
  /** Whether a step of it is still to come, or comes. */
  isLive = false;
  #toggles = [];

  constructor(answer, lane, { headers, actions, grew }) {
    this.answer = answer;
    this.headers = headers;
    this.grew = grew;
    this.actions = actions;
    this.steps = el("div", { class: "steps" });
    this.buttons = el("div", { class: "buttons" });
    const head = el("header", {}, el("span", { class: "model" }, answer.model), switcher(lane, "answer", actions.choose));
    this.element = el("section", { class: "answer", "aria-label": `Answer of ${answer.model}` }, head, this.steps);
    answer.steps.forEach((each, n) => {
      if (each.role === "assistant") this.#kept(each, answer.steps.slice(n + 1));
    });
  }

  /** Show a step as the last one, which has the buttons. */
  #show(view) {
    this.steps.append(view.element);
    view.toggle.before(this.buttons);
    this.#toggles.push(view.toggle);
    if (this.#toggles.length > 1) this.#toggles.forEach((each, n) => each.setAttribute("aria-label", `Inspect request ${n + 1}`));
  }

  #kept(step, rest) {
    const view = new StepView(step, { model: this.answer.model, headers: this.headers });
    this.#show(view);
    this.#ended(view, rest);
  }

  /** Show the calls and the error of a step that has ended. */
  #ended(view, rest = []) {
    const { step } = view;
    const isPending = pending(this.answer) === step.calls;
    if (step.calls.length && isPending) view.after.append(callsForm(step.calls, this.actions.answerCalls));
    else
      for (const [n, call] of step.calls.entries()) {
        const result = rest[n]?.role === "tool" ? rest[n].text : undefined;
        view.after.append(callShown(call, result));
      }
    if (step.error) {
      const again = el("button", { type: "button", onclick: () => this.actions.retry() }, "Try again");
      view.after.append(el("div", { class: "error", role: "alert" }, el("p", { dir: "auto" }, step.error), again));
    }
  }

  /** Show that a step comes, and return its view. */
  begin(step, request) {
    const view = new StepView(step, { request, model: this.answer.model, headers: this.headers, isLive: true, grew: this.grew });
    this.buttons.replaceChildren();
    this.#show(view);
    this.isLive = true;
    return view;
  }

  async end(view) {
    await view.end();
    this.#ended(view);
    this.finish();
    this.isLive = false;
  }

  /** Show what can be done with an answer that has ended. */
  finish() {
    const text = () => this.answer.steps.filter(({ role }) => role === "assistant").map((each) => each.text).join("\n\n");
    const retry = el("button", { type: "button", class: "quiet", onclick: () => this.actions.retry() }, "Retry");
    this.buttons.replaceChildren(copyButton(text), retry);
  }
}
