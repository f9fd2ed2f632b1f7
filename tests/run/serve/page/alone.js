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
window.again = () => {
  const kept = JSON.stringify(window.inspector);
  window.inspector.close();
  window.inspector = Inspector.fromJSON(here, JSON.parse(kept));
  return kept.length;
};
window.check = (model, headers = {}) => checkPanel(here, { model, headers });
window.ready = true;
