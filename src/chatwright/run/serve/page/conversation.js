// Conversations as values: turns that branch, the answers to them, and what is sent of both.
//
// A turn is what the user said; each of its lanes (columns) has answers of one model, of which one is chosen.
// A turn follows the answers that were chosen when it was sent, so that a retry or an edit is a sibling.

export const uid = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (each) => each.toString(36).padStart(2, "0")).join("");

export const DEFAULTS = {
  models: [], system: "You are a helpful assistant.", // as `chatwright chat` has it: small models need one
  temperature: "", top_p: "", max_tokens: "", seed: "", stop: "", tools: "", choice: "auto", schema: "",
};

export function conversation(settings) {
  return { id: uid(), title: "", updated: Date.now(), settings: structuredClone(settings), turns: {}, answers: {}, first: { ids: [], chosen: 0 } };
}

/** The ids of a turn's chosen answers, one for each lane. */
export const chosen = (turn) => turn.lanes.map((lane) => lane.ids[lane.chosen]);

/** The turns that may come after a turn with its chosen answers; without a turn, those that may come first. */
export function following(talk, turn) {
  return turn ? (turn.next[chosen(turn).join("+")] ??= { ids: [], chosen: 0 }) : talk.first;
}

/** The turns that are shown. */
export function path(talk) {
  const turns = [];
  for (let turn = null; ; turns.push(turn)) {
    const { ids, chosen: at } = following(talk, turn);
    if (!ids.length) return turns;
    turn = talk.turns[ids[at]];
  }
}

/** The turns beside a turn, itself among them. */
export function siblings(talk, turn) {
  const parent = talk.turns[turn.parent];
  return parent ? parent.next[turn.after.join("+")] : talk.first;
}

export function addTurn(talk, parent, { text, images }) {
  const turn = { id: uid(), parent: parent?.id ?? "", after: parent ? chosen(parent) : [], text, images, lanes: [], next: {} };
  const place = following(talk, parent);
  talk.turns[turn.id] = turn;
  place.chosen = place.ids.push(turn.id) - 1;
  return turn;
}

export function addAnswer(talk, turn, lane, model) {
  const answer = { id: uid(), model, steps: [] };
  talk.answers[answer.id] = answer;
  turn.lanes[lane] ??= { ids: [], chosen: 0 };
  turn.lanes[lane].chosen = turn.lanes[lane].ids.push(answer.id) - 1;
  return answer;
}

/** What a model said in one go, before it has. */
export const step = () => ({
  role: "assistant", text: "", reasoning: "", calls: [], usage: null, usd: null, first: null, ms: null, error: "", stopped: false, schema: "", timeline: null,
});

/** Have what was being written when its page was closed be stopped; tells whether there was any. */
export function settle(talk) {
  let found = false;
  for (const { steps } of Object.values(talk.answers)) {
    if (!steps.length) steps.push(step());
    const last = steps.at(-1);
    if (last.role === "tool" || last.ms !== null || last.error || last.stopped) continue;
    last.stopped = found = true;
  }
  return found;
}

/** The calls of an answer's last step that wait for their results. */
export function pending(answer) {
  const last = answer.steps.findLast(({ role }) => role === "assistant");
  if (!last || last.error || last.stopped || answer.steps.at(-1) !== last) return [];
  return last.calls;
}

function fromUser({ text, images }) {
  if (!images.length) return { role: "user", content: text };
  const pictures = images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role: "user", content: [...(text ? [{ type: "text", text }] : []), ...pictures] };
}

function* fromSteps(steps) {
  for (const each of steps) {
    if (each.role === "tool") {
      yield { role: "tool", tool_call_id: each.id, content: each.text };
      continue;
    }
    // Calls that no result follows are refused by every provider.
    const isAnswered = each.calls.length && steps[steps.indexOf(each) + 1]?.role === "tool";
    if (!each.text && !isAnswered) continue;
    const calls = each.calls.map(({ id, name, arguments: given }) => ({ id, type: "function", function: { name, arguments: given } }));
    yield {
      role: "assistant",
      content: each.text,
      ...(each.reasoning ? { reasoning_content: each.reasoning } : {}),
      ...(isAnswered ? { tool_calls: calls } : {}),
    };
  }
}

/** The messages that a turn's answer in a lane is asked with, its own steps so far included. */
export function messages(talk, turn, lane, answer, system) {
  const turns = [];
  for (let each = turn; each; each = talk.turns[each.parent]) turns.unshift(each);
  const sent = system ? [{ role: "system", content: system }] : [];
  turns.forEach((each, n) => {
    sent.push(fromUser(each));
    const after = turns[n + 1]?.after;
    const given = after ? talk.answers[after[lane] ?? after[0]] : answer;
    sent.push(...fromSteps(given.steps));
  });
  return sent;
}

/** A name for a conversation that has none. */
export function titled(talk) {
  const first = talk.turns[talk.first.ids[0]];
  const text = first?.text.trim().replace(/\s+/g, " ") || (first?.images.length ? "An image" : "");
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
