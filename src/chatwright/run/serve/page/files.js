// Conversations as a file: what is written can be read, and what is read is checked field by field.

import { DEFAULTS, uid } from "./conversation.js";

const FORMAT = "chatwright.conversations";
const VERSION = 1;
const LONGEST = 100_000_000; // bytes

export const exported = (talks) => JSON.stringify({ format: FORMAT, version: VERSION, conversations: talks }, null, 1);

function refuse(at, what) {
  throw new TypeError(`${at} ${what}`);
}

const text = (value, at) => (typeof value === "string" ? value : refuse(at, "has to be a text"));
const flag = (value, at) => (typeof value === "boolean" ? value : refuse(at, "has to be true or false"));
const number = (value, at) => (Number.isFinite(value) ? value : refuse(at, "has to be a number"));
const count = (value, at) => (Number.isSafeInteger(value) && value >= 0 ? value : refuse(at, "has to be a count"));
const orNull = (reads) => (value, at) => (value === null ? null : reads(value, at));
const id = (value, at) => (/^[A-Za-z0-9][\w-]{0,63}$/.test(text(value, at)) ? value : refuse(at, "is no id"));
const parent = (value, at) => (value === "" ? "" : id(value, at));
const only = (...values) => (value, at) => (values.includes(value) ? value : refuse(at, `has to be one of ${values.join(", ")}`));
const anything = (value) => value;

/** An image that a browser shows and that can't hold a program: SVG can. */
export const isImage = (url) => /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]*={0,2}$/.test(url);
const image = (value, at) => (isImage(text(value, at)) ? value : refuse(at, "is no PNG, JPEG, GIF or WebP as a data: address"));

const list = (reads) => (value, at) =>
  Array.isArray(value) ? value.map((each, n) => reads(each, `${at}[${n}]`)) : refuse(at, "has to be a list");

function plain(value, at) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) refuse(at, "has to be an object");
  return value;
}

const object = (fields) => (value, at) => {
  plain(value, at);
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
  if (unknown !== undefined) refuse(at, `has a field that is not known: ${unknown.slice(0, 60)}`);
  return Object.fromEntries(Object.entries(fields).map(([name, reads]) =>
    [name, reads(Object.hasOwn(value, name) ? value[name] : undefined, `${at}.${name}`)]));
};

const map = (key, reads) => (value, at) =>
  Object.fromEntries(Object.entries(plain(value, at)).map(([name, each]) => [key(name, at), reads(each, `${at}.${name.slice(0, 60)}`)]));

const place = object({ ids: list(id), chosen: count });
const keys = (value, at) => (value.split("+").every((each) => id(each, at)) ? value : null);
const STEPS = {
  assistant: object({
    role: only("assistant"), text, reasoning: text, calls: list(object({ id: text, name: text, arguments: text })), usage: orNull(plain),
    usd: orNull(number), first: orNull(number), ms: orNull(number), error: text, stopped: flag, schema: text, timeline: anything,
  }),
  tool: object({ role: only("tool"), id: text, name: text, text }),
};
const step = (value, at) => STEPS[only("assistant", "tool")(plain(value, at).role, `${at}.role`)](value, at);
const settings = object(Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, name === "models" ? list(text) : text])));
const talk = object({
  id, title: text, updated: number, settings, first: place,
  turns: map(id, object({ id, parent, after: list(id), text, images: list(image), lanes: list(place), next: map(keys, place) })),
  answers: map(id, object({ id, model: text, steps: list(step) })),
});

/** Refuse a conversation whose parts do not make one tree. */
function checkTree(read, at) {
  const seen = new Set();
  const open = [[read.first, "", ""]];
  while (open.length) {
    const [{ ids, chosen }, parentId, after] = open.pop();
    if (ids.length ? chosen >= ids.length : chosen) refuse(at, "has a choice of what it does not have");
    for (const name of ids) {
      const turn = Object.hasOwn(read.turns, name) ? read.turns[name] : refuse(at, `has no turn ${name}`);
      if (seen.has(name) || turn.id !== name) refuse(at, `has the turn ${name} twice`);
      if (turn.parent !== parentId || turn.after.join("+") !== after) refuse(at, `has the turn ${name} in a wrong place`);
      seen.add(name);
      if (!turn.lanes.length || turn.lanes.length > 2) refuse(at, `has a turn ${name} without one or two columns`);
      for (const lane of turn.lanes) {
        if (lane.chosen >= lane.ids.length) refuse(at, "has a choice of what it does not have");
        for (const each of lane.ids) {
          if (!Object.hasOwn(read.answers, each) || read.answers[each].id !== each || seen.has(each)) refuse(at, `has no answer ${each}`);
          seen.add(each);
        }
      }
      for (const [key, next] of Object.entries(turn.next)) open.push([next, name, key]);
    }
  }
  if (seen.size !== Object.keys(read.turns).length + Object.keys(read.answers).length) refuse(at, "has parts that belong nowhere");
}

/**
 * Return the conversations of a file, each with a new id, so that nothing here is replaced.
 * @throws {TypeError} It is no file of conversations; the message says where.
 */
export async function imported(file) {
  if (file.size > LONGEST) refuse("The file", "is larger than 100 MB");
  let whole;
  try {
    whole = JSON.parse(await file.text());
  } catch (error) {
    refuse("The file", `is no JSON: ${error.message}`);
  }
  if (whole?.format !== FORMAT) refuse("The file", "is no export of Chatwright's conversations");
  if (whole.version !== VERSION) refuse("The file", `has version ${JSON.stringify(whole.version)}; this page reads ${VERSION}`);
  const talks = list(talk)(whole.conversations, "conversations");
  talks.forEach((each, n) => checkTree(each, `conversations[${n}]`));
  return talks.map((each) => ({ ...each, id: uid() }));
}
