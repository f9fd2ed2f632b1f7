// The page: a conversation with one model or two, as it is kept in this browser.

import { HttpError, json } from "./api.js";
import { checkPanel } from "./check.js";
import * as talks from "./conversation.js";
import { $, announce, ask, el, notify } from "./dom.js";
import { Images } from "./images.js";
import { Kept } from "./kept.js";
import { run } from "./run.js";
import { bindSettings, parsed, showSettings } from "./settings.js";
import { Turns } from "./turns.js";

const KEY = "chatwright.key";
const LAST = "chatwright.settings";

const checks = new Map();
let models = [];
let talk;
let stopping = null; // what aborts the answers that are being written

const headers = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
};
const chosenModels = () => talk.settings.models.map((name) => models.find((each) => each.name === name)).filter(Boolean);
const current = () => ({ settings: talk.settings, models: chosenModels() });

/** Do what needs a key, which is asked for as long as the server refuses. */
async function withKey(action) {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof HttpError && error.status === 401)) throw error;
      $("key-value").value = "";
      if ((await ask($("key"))) !== "yes") throw error;
      sessionStorage.setItem(KEY, $("key-value").value.trim());
    }
  }
}

function mayChange() {
  if (stopping) notify("An answer is being written; stop it first.", { error: true });
  return !stopping;
}

function changed(own = talk) {
  own.updated = Date.now();
  own.title ||= talks.titled(own);
  return kept.save(own);
}

/** Let the models write a turn's answers, and keep them. */
async function write(turn, lanes) {
  const own = talk; // another one may be shown before the end
  const mine = new AbortController();
  stopping = mine;
  showRunning();
  try {
    const written = lanes.map((lane) => writeOne(turn, lane, mine.signal));
    changed(own);
    await Promise.all(written);
  } finally {
    if (stopping === mine) stopping = null;
    showRunning();
    await changed(own);
  }
}

async function writeOne(turn, lane, signal) {
  const answer = talk.answers[turn.lanes[lane].ids[turn.lanes[lane].chosen]];
  const { fields } = parsed(talk.settings);
  const request = { model: answer.model, messages: talks.messages(talk, turn, lane, answer, talk.settings.system), stream: true, ...fields };
  const step = talks.step();
  if (fields.response_format) step.schema = JSON.stringify(fields.response_format.json_schema.schema);
  answer.steps.push(step);
  const shown = turns.view(answer);
  const view = shown.begin(step, request);
  turns.grew();
  try {
    await withKey(() => run(step, request, { view, headers: headers(), signal }));
  } catch (error) {
    step.error = `${error.message}`;
  }
  await shown.end(view);
  turns.grew();
  const what = step.error || (step.stopped ? "Stopped." : step.calls.length ? `${answer.model} calls ${step.calls.map(({ name }) => name).join(", ")}.` : step.text);
  announce(`${answer.model}: ${what.length > 400 ? `${what.slice(0, 400)} …` : what}`);
}

/** Tell whether the settings can be sent; where not, show what is wrong. */
function maySend() {
  if (!talk.settings.models.length) {
    notify("There is no model to ask: load the page again when its server runs.", { error: true });
    return false;
  }
  const [wrong] = parsed(talk.settings).errors;
  if (!wrong) return mayChange();
  notify(wrong.message, { error: true });
  showSettings(current());
  $("settings").showModal();
  $(`set-${wrong.name}`).focus();
  return false;
}

function askAll(turn) {
  talk.settings.models.forEach((name, lane) => talks.addAnswer(talk, turn, lane, name));
  turns.from(turn);
  turns.toEnd();
  return write(turn, talk.settings.models.map((_, lane) => lane));
}

async function send(event) {
  event.preventDefault();
  const field = $("prompt");
  const last = talks.path(talk).at(-1);
  if ((!field.value.trim() && !images.urls.length) || !maySend()) return;
  if (last && talks.chosen(last).some((id) => talks.pending(talk.answers[id]).length)) {
    notify("The model waits for the results of its calls: answer them, or retry.", { error: true });
    return;
  }
  const turn = talks.addTurn(talk, last, { text: field.value, images: images.take() });
  field.value = "";
  grow();
  await askAll(turn);
}

const actions = {
  mayChange,
  changed,
  edit(turn, text) {
    if (!maySend()) return undefined;
    const parent = talk.turns[turn.parent] ?? null;
    return askAll(talks.addTurn(talk, parent, { text, images: turn.images }));
  },
  retry(turn, lane) {
    if (!maySend()) return undefined;
    const before = talk.answers[turn.lanes[lane].ids[turn.lanes[lane].chosen]];
    talks.addAnswer(talk, turn, lane, talk.settings.models[lane] ?? before.model);
    turns.from(turn);
    return write(turn, [lane]);
  },
  answerCalls(turn, lane, answer, results) {
    if (!maySend()) return undefined;
    const calls = talks.pending(answer);
    answer.steps.push(...calls.map(({ id, name }, n) => ({ role: "tool", id, name, text: results[n] })));
    turns.from(turn);
    return write(turn, [lane]);
  },
};

/** Why no image can go with the next message. */
function noImages() {
  const without = chosenModels().filter(({ inputs }) => !inputs.includes("image")).map(({ name }) => name);
  return without.length ? `${without.join(" and ")} takes no images` : null;
}

function showRunning() {
  $("send").hidden = stopping !== null;
  $("stop").hidden = stopping === null;
}

function grow() {
  const field = $("prompt");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, 260)}px`;
}

/** Show which models answer, and what they can do. */
function showModels() {
  const options = () => models.map(({ name }) => el("option", { value: name }, name));
  $("model").replaceChildren(...options());
  $("beside").replaceChildren(el("option", { value: "" }, "none"), ...options());
  [$("model").value, $("beside").value] = [talk.settings.models[0] ?? "", talk.settings.models[1] ?? ""];
  const why = noImages();
  $("attach").hidden = why !== null;
  $("check").hidden = !chosenModels().some(({ checkable }) => checkable);
}

function pick() {
  talk.settings.models = [$("model").value, $("beside").value].filter(Boolean);
  showModels();
  showSettings(current());
  remember();
  if (Object.keys(talk.turns).length) changed();
}

function remember() {
  localStorage.setItem(LAST, JSON.stringify(talk.settings));
}

/** Make a conversation the one that is shown. */
function show(next) {
  if (stopping) {
    stopping.abort();
    stopping = null;
    notify("The answer was stopped, as you left its conversation.");
  }
  talk = next;
  if (talks.settle(talk)) changed();
  const gone = talk.settings.models.filter((name) => !models.some((each) => each.name === name));
  talk.settings.models = talk.settings.models.filter((name) => !gone.includes(name));
  if (!talk.settings.models.length && models.length) talk.settings.models = [models[0].name];
  if (gone.length && Object.keys(talk.turns).length) notify(`${gone.join(" and ")} is not served here; ${talk.settings.models.join(" and ")} answers.`);
  showModels();
  showSettings(current());
  turns.show(talk);
}

function fresh() {
  let settings = {};
  try {
    settings = JSON.parse(localStorage.getItem(LAST)) ?? {};
  } catch {
    // What another version wrote is no loss.
  }
  const known = Object.entries(talks.DEFAULTS).map(([name, value]) => [name, typeof settings[name] === typeof value ? settings[name] : value]);
  return talks.conversation({ ...Object.fromEntries(known), models: Array.isArray(settings.models) ? settings.models.map(String) : [] });
}

/** Show the checks of the models; one that runs goes on while it is not shown. */
function check() {
  const names = chosenModels().filter(({ checkable }) => checkable).map(({ name }) => name);
  for (const name of names.filter((each) => !checks.has(each))) {
    const panel = el("div");
    checkPanel(panel, { model: name, headers: headers() });
    checks.set(name, el("section", { "aria-label": `Check of ${name}` }, el("h3", {}, name), panel));
  }
  $("checker-panel").replaceChildren(...names.map((name) => checks.get(name)));
  $("checker").showModal();
}

function bind() {
  document.addEventListener("visibilitychange", () => document.hidden && stopping && changed());
  $("composer").addEventListener("submit", send);
  $("prompt").addEventListener("input", grow);
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && stopping && !document.querySelector("dialog[open]")) stopping.abort();
  });
  $("stop").addEventListener("click", () => {
    stopping?.abort();
    $("prompt").focus();
  });
  for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close(""));
  $("model").addEventListener("change", pick);
  $("beside").addEventListener("change", pick);
  $("check").addEventListener("click", check);
  $("settings-open").addEventListener("click", () => $("settings").showModal());
  bindSettings(current, () => {
    remember();
    if (Object.keys(talk.turns).length) changed();
  });
  const theme = (value) => (value ? (document.documentElement.dataset.theme = value) : delete document.documentElement.dataset.theme);
  theme(($("theme").value = localStorage.getItem("chatwright.theme") ?? ""));
  $("theme").addEventListener("change", () => {
    localStorage.setItem("chatwright.theme", $("theme").value);
    theme($("theme").value);
  });
}

const turns = new Turns({ headers, actions });
const images = new Images(noImages);
const kept = new Kept({ show, fresh, current: () => talk });
bind();
try {
  ({ models } = await withKey(() => json("/inspector/models", undefined, { headers: headers() })));
} catch (error) {
  notify(`The models can't be listed: ${error.message}`, { error: true });
}
await kept.start();
document.documentElement.dataset.ready = "";
$("prompt").focus();
