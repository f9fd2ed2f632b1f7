// The page: a conversation with one model or two, as it is kept in this browser.

import { HttpError, json } from "./api.js";
import { checkPanel } from "./check.js";
import * as talks from "./conversation.js";
import { $, announce, ask, el, isKey, notify } from "./dom.js";
import { Images } from "./images.js";
import { Kept } from "./kept.js";
import { run } from "./run.js";
import { bindSettings, parsed, showSettings } from "./settings.js";
import { Turns } from "./turns.js";

const KEY = "chatwright.key";
const LAST = "chatwright.settings";
const DOUBLE = 400; // milliseconds within which a second click belongs to a double one

const checks = new Map();
const running = new Map(); // what aborts the answers that are being written, by their conversations
let models = [];
let talk;
let asked = null; // the dialog for a key, one for all that wait for it

const headers = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
};
const chosenModels = () => talk.settings.models.map((name) => models.find((each) => each.name === name)).filter(Boolean);
const current = () => ({ settings: talk.settings, models: chosenModels() });

/** Ask for a key in place of one that was refused, if there was one; tells whether one was given. */
async function askKey(refused) {
  const field = $("key-value");
  field.value = refused ?? "";
  const answered = ask($("key"));
  $("key-wrong").textContent = refused ? "The server refused this key." : "";
  field.setAttribute("aria-invalid", String(Boolean(refused)));
  field.select();
  if ((await answered) !== "yes") return false;
  sessionStorage.setItem(KEY, field.value.trim());
  return true;
}

/** Do what needs a key, which is asked for as long as the server refuses. */
async function withKey(action) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof HttpError && error.status === 401)) throw error;
      if (sessionStorage.getItem(KEY) !== key) continue; // another one was given meanwhile
      asked ??= askKey(key).finally(() => (asked = null));
      if (!(await asked)) throw error;
    }
  }
}

function mayChange() {
  if (running.has(talk)) notify("An answer is being written; stop it first.", { error: true });
  return !running.has(talk);
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
  running.set(own, mine);
  showRunning();
  try {
    const written = lanes.map((lane) => writeOne(turn, lane, mine.signal));
    changed(own);
    await Promise.all(written);
  } finally {
    running.delete(own);
    await changed(own); // so that an answer is kept when Send is back
    showRunning();
  }
}

async function writeOne(turn, lane, signal) {
  const own = talk;
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
  if (own !== talk) return announce(`${own.title}: ${answer.model} has ended its answer.`);
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
  $("send").hidden = running.has(talk);
  $("stop").hidden = !running.has(talk);
}

const stop = () => running.get(talk)?.abort();

/** Keep the second click of a double one from the button that has come into the first one's place. */
function guardSwap(...buttons) {
  let first = { button: null, timeStamp: -Infinity };
  const guard = (event) => {
    if (!event.detail) return; // no pointer's
    const { currentTarget: button, timeStamp } = event;
    if (button === first.button || timeStamp - first.timeStamp > DOUBLE) first = { button, timeStamp };
    else {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };
  for (const each of buttons) each.addEventListener("click", guard);
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
  talk = next;
  if (!running.has(talk) && talks.settle(talk)) changed();
  const gone = talk.settings.models.filter((name) => !models.some((each) => each.name === name));
  talk.settings.models = talk.settings.models.filter((name) => !gone.includes(name));
  if (!talk.settings.models.length && models.length) talk.settings.models = [models[0].name];
  if (gone.length && Object.keys(talk.turns).length) notify(`${gone.join(" and ")} is not served here; ${talk.settings.models.join(" and ")} answers.`);
  showModels();
  showSettings(current());
  turns.show(talk);
  showRunning();
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

/** Show the checks of the models. */
function check() {
  const names = chosenModels().filter(({ checkable }) => checkable).map(({ name }) => name);
  for (const name of names.filter((each) => !checks.has(each))) {
    const panel = el("div");
    const end = checkPanel(panel, { model: name, headers: headers() });
    checks.set(name, { end, element: el("section", { "aria-label": `Check of ${name}` }, el("h3", {}, name), panel) });
  }
  $("checker-panel").replaceChildren(...names.map((name) => checks.get(name).element));
  $("checker").showModal();
}

function bind() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) for (const own of running.keys()) changed(own);
  });
  $("composer").addEventListener("submit", send);
  $("prompt").addEventListener("input", grow);
  $("prompt").addEventListener("keydown", (event) => {
    if (isKey(event, "Enter") && !event.shiftKey) send(event);
  });
  document.addEventListener("keydown", (event) => {
    if (isKey(event, "Escape") && !document.querySelector("dialog[open]")) stop();
  });
  guardSwap($("send"), $("stop"));
  $("stop").addEventListener("click", () => {
    stop();
    $("prompt").focus();
  });
  for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close(""));
  $("model").addEventListener("change", pick);
  $("beside").addEventListener("change", pick);
  $("check").addEventListener("click", check);
  $("checker").addEventListener("close", () => checks.forEach(({ end }) => end()));
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
const kept = new Kept({ show, fresh, current: () => talk, running });
bind();
try {
  ({ models } = await withKey(() => json("/inspector/models", undefined, { headers: headers() })));
} catch (error) {
  notify(`The models can't be listed: ${error.message}`, { error: true });
}
await kept.start();
document.documentElement.dataset.ready = "";
$("prompt").focus();
