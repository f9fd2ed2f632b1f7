// What an answer's events come to: rows of a timeline, runs, and figures. No DOM.

const STARTS = /^on_(.+)_start$/;
const ENDS = /^on_(.+)_(end|error)$/;

/** Return the value below which a share of sorted numbers lies (nearest rank). */
export const quantile = (sorted, share) =>
  sorted.length ? sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] : null;

/** Reads events one by one. */
export class Trace {
  /** What the timeline shows, in the order in which it came. */
  rows = [];
  /** The rows that are no pieces of an answer. */
  landmarks = [];
  /** The runs, by their ids, in the order in which they began. */
  runs = new Map();
  /** The run of the model that was asked; null until it begins. */
  root = null;
  cost = null;
  error = null;
  doneAt = null;

  /** Take the next object of the stream. */
  add(object) {
    switch (object.type) {
      case "event":
        this.#event(object);
        break;
      case "cost":
        this.cost = object.usd;
        this.#row({ at: object.at, kind: "cost", label: "cost", text: dollars(object.usd) });
        break;
      case "error":
        this.error = object;
        this.#row({ at: object.at, kind: "error", label: `error ${object.status}`, text: object.message });
        break;
      case "done":
        this.doneAt = object.at;
        break;
      default: // a later server's: it is shown as it is
        this.#row({ at: object.at, kind: "other", label: object.type, text: "", data: object });
    }
  }

  #row(row) {
    const made = { depth: 0, gap: null, run: null, data: null, ...row };
    this.rows.push(made);
    if (!made.isPiece) this.landmarks.push(made);
  }

  #run(object, kind) {
    const { run_id: id, name, parent_ids: parents } = object;
    let run = this.runs.get(id);
    if (!run) {
      run = { id, name, kind, parents, depth: parents.length, start: object.at, end: null, failed: false };
      Object.assign(run, { pieces: [], usage: null, metadata: {} });
      this.runs.set(id, run);
      if (!parents.length) this.root ??= run;
    }
    return run;
  }

  #event(object) {
    const { event, at, data } = object;
    const kind = STARTS.exec(event)?.[1] ?? ENDS.exec(event)?.[1] ?? event.replace(/^on_|_stream$/g, "");
    const run = this.#run(object, kind);
    const common = { at, run, depth: run.depth, data: object };
    if (event === "on_chat_model_stream") {
      this.#piece(run, data.chunk ?? {}, common);
    } else if (STARTS.test(event)) {
      this.#row({ ...common, kind: "start", label: run.name, text: short(data.input) });
    } else if (ENDS.test(event)) {
      run.end = at;
      run.failed = event.endsWith("_error");
      this.#ended(run, data.output);
      this.#row({ ...common, kind: run.failed ? "error" : "end", label: run.name, text: endText(run, data) });
    } else {
      this.#row({ ...common, kind: "other", label: run.name, text: short(data.chunk ?? data) });
    }
  }

  #ended(run, output) {
    if (run.kind !== "chat_model" || !output) return;
    run.usage = output.usage ?? run.usage;
    Object.assign(run.metadata, output.response_metadata);
  }

  #piece(run, chunk, common) {
    const { at } = common;
    const parts = [];
    if (chunk.reasoning) parts.push(["reasoning", chunk.reasoning]);
    if (chunk.text) parts.push(["text", chunk.text]);
    for (const call of chunk.tool_call_chunks ?? []) {
      parts.push(["call", `${call.name ? `${call.name} ` : ""}${call.args ?? ""}`, call]);
    }
    if (parts.length) {
      const gap = run.pieces.length ? at - run.pieces.at(-1) : null;
      run.pieces.push(at);
      parts.forEach(([kind, text, call], n) => {
        const label = kind === "call" ? `call ${call.index ?? ""}`.trim() : kind;
        this.#row({ at, run, depth: common.depth, kind, label, text, gap: n ? null : gap, isPiece: true });
      });
    }
    if (chunk.usage) run.usage = chunk.usage;
    const told = Object.keys(chunk.response_metadata ?? {}).length > 0;
    if (told) Object.assign(run.metadata, chunk.response_metadata);
    const { usage } = chunk;
    if (usage) this.#row({ ...common, kind: "usage", label: "usage", text: usageText(usage) });
    else if (told || (!parts.length && chunk.blocks)) {
      this.#row({ ...common, kind: "other", label: "metadata", text: short(chunk.blocks ?? chunk.response_metadata) });
    }
  }

  /** Return the milliseconds between the pieces of the answer. */
  gaps() {
    const pieces = this.root?.pieces ?? [];
    return pieces.slice(1).map((at, n) => at - pieces[n]);
  }

  /** Return the answer's figures; null stands for what is not known. */
  summary() {
    const { root } = this;
    const pieces = root?.pieces ?? [];
    const usage = root?.usage ?? null;
    const last = root?.end ?? this.doneAt ?? this.rows.at(-1)?.at ?? null;
    const spoken = pieces.length > 1 ? (pieces.at(-1) - pieces[0]) / 1000 : 0;
    const tokens = usage?.output_tokens ?? null;
    // An agent's tokens are those of all that it asked, most of them not in the answer.
    const isAlone = this.runs.size === 1;
    const count = isAlone && tokens !== null ? tokens : pieces.length;
    return {
      firstToken: pieces[0] ?? null,
      duration: last,
      pieces: pieces.length,
      inputTokens: usage?.input_tokens ?? null,
      outputTokens: tokens,
      rate: spoken > 0 && count > 1 ? (count - 1) / spoken : null,
      rateOf: isAlone && tokens !== null ? "tokens" : "pieces",
      cost: this.cost,
      finish: this.error ? "error" : (root?.metadata.finish_reason ?? null),
      model: root?.metadata.model_name ?? null,
    };
  }
}

/** Return an amount of US dollars. */
export const dollars = (usd) => (usd >= 0.01 || usd === 0 ? `$${usd.toFixed(2)}` : `$${usd.toPrecision(2)}`);

function usageText(usage) {
  const details = { ...usage.input_token_details, ...usage.output_token_details };
  const more = Object.entries(details).filter(([, count]) => typeof count === "number" && count > 0);
  const all = [["in", usage.input_tokens], ["out", usage.output_tokens], ...more];
  return all.map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(" · ");
}

function endText(run, data) {
  const { output } = data;
  if (run.kind !== "chat_model") return short(output ?? data.error);
  const calls = (output?.tool_calls ?? []).map((call) => `${call.name}(${JSON.stringify(call.args)})`);
  return calls.join(" ") || (run.metadata.finish_reason ?? "");
}

/** Return the beginning of a value, in a line: of messages the last one's text. */
function short(value) {
  if (value === null || value === undefined) return "";
  const messages = Array.isArray(value) ? value.flat() : [value.messages ?? value].flat(2);
  const last = messages.at(-1);
  if (typeof last?.content === "string" && last.content) return last.content.slice(0, 200);
  return (typeof value === "string" ? value : JSON.stringify(value)).slice(0, 200);
}
