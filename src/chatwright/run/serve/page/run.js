// Asks for one step of an answer, and keeps what comes.

import { events, HttpError } from "./api.js";

const said = (reply) => (typeof reply === "string" ? reply : JSON.stringify(reply ?? {}));

/** What the events of the model's own run add to a step. */
class Reader {
  #streamed = false;
  #names = new Map();
  ended = false;

  constructor(step, view) {
    this.step = step;
    this.view = view;
  }

  add(each) {
    this.view.add(each);
    const { step } = this;
    if (each.type === "error") step.error = each.status ? `${each.message} (${each.status})` : each.message;
    else if (each.type === "cost") step.usd = each.usd;
    else if (each.type === "done") {
      this.ended = true;
      step.ms = each.at;
    } else if (each.type === "event" && !each.parent_ids.length) {
      if (each.event === "on_chat_model_stream") this.#chunk(each);
      else if (each.event === "on_chat_model_end") this.#output(each.data.output);
    }
  }

  #chunk({ at, data: { chunk } }) {
    this.#say(chunk, at);
    for (const { index, id, name, args } of chunk.tool_call_chunks ?? []) {
      const call = this.#names.get(index) ?? { id: "", name: "", arguments: "" };
      this.#names.set(index, { id: call.id || id || "", name: call.name || name || "", arguments: call.arguments + (args ?? "") });
      this.step.first ??= at;
    }
  }

  #say({ text, reasoning }, at) {
    const { step, view } = this;
    if (!text && !reasoning) return;
    step.first ??= at;
    this.#streamed = true;
    step.text += text ?? "";
    step.reasoning += reasoning ?? "";
    view.think(reasoning);
    view.say(text);
  }

  #output(output) {
    const { step } = this;
    if (!this.#streamed) this.#say(output, null);
    step.usage = output.usage ?? step.usage;
    step.calls = output.tool_calls?.length
      ? output.tool_calls.map(({ id, name, args }) => ({ id: id ?? "", name, arguments: said(args) }))
      : [...this.#names.values()];
  }
}

/**
 * Ask, and fill a step and its view with the answer; what goes wrong is the step's `error`.
 * @throws {HttpError} A key is needed (401).
 */
export async function run(step, request, { view, headers, signal }) {
  const reader = new Reader(step, view);
  try {
    for await (const each of events("/inspector/answer", request, { headers, signal })) reader.add(each);
    if (!reader.ended && !step.error) step.error = "The connection ended before the answer did.";
  } catch (error) {
    if (signal.aborted) step.stopped = true;
    else if (error instanceof HttpError && error.status === 401) throw error;
    else step.error = error instanceof HttpError ? `${error.message} (${error.status})` : `The server can't be reached, or went away: ${error.message}`;
  }
}
