// What the page does with the inspector, and nothing else of it.

import { events } from "/page/api.js";
import { checkPanel } from "/page/check.js";
import { Inspector } from "/page/inspector.js";

const here = document.getElementById("here");

window.ask = async (request, headers = {}) => {
  window.got = [];
  window.inspector = new Inspector(here, { request, model: request.model, headers });
  for await (const each of events("/inspector/answer", request, { headers })) {
    window.got.push(each);
    window.inspector.add(each);
  }
  window.inspector.end();
  return window.got.length;
};
window.show = (request, objects, headers = {}) => {
  window.inspector = new Inspector(here, { request, model: request.model, headers });
  for (const each of objects) window.inspector.add(each);
  window.inspector.end();
};
// An answer of so many pieces, 2 ms apart, as the server tells it.
window.answer = (count) => {
  const run = { type: "event", name: "serve m", run_id: "r", parent_ids: [] };
  const chunk = { text: "word ", reasoning: "", tool_call_chunks: [], usage: null, response_metadata: {} };
  const usage = { input_tokens: 3, output_tokens: count, total_tokens: count + 3 };
  const output = { text: "word ".repeat(count), reasoning: "", usage, tool_calls: [], response_metadata: { finish_reason: "stop" } };
  return [
    { ...run, at: 1, event: "on_chat_model_start", data: { input: [] } },
    ...Array.from({ length: count }, (_, n) =>
      ({ ...run, at: 10 + 2 * n, event: "on_chat_model_stream", data: { chunk } })),
    { ...run, at: 11 + 2 * count, event: "on_chat_model_end", data: { output } },
    { type: "done", at: 12 + 2 * count },
  ];
};
window.again = () => {
  const kept = JSON.stringify(window.inspector);
  window.inspector.close();
  window.inspector = Inspector.fromJSON(here, JSON.parse(kept));
  return kept.length;
};
window.check = (model, headers = {}) => checkPanel(here, { model, headers });
document.documentElement.dataset.ready = "yes";
