// What is set for a conversation: the form, and the fields of a request that it makes.

import { DEFAULTS } from "./conversation.js";
import { $, el } from "./dom.js";

const NUMBERS = {
  temperature: { min: 0, max: 2 },
  top_p: { min: 0, max: 1 },
  max_tokens: { min: 1, whole: true },
  seed: { whole: true },
};
const ESCAPES = { "\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\\": "\\" };

function read(errors, name, parse) {
  try {
    return parse();
  } catch (error) {
    errors.push({ name, message: error.message });
    return undefined;
  }
}

function number(name, value) {
  if (value.trim() === "") return undefined;
  const { min = -Infinity, max = Infinity, whole } = NUMBERS[name];
  const found = Number(value);
  if (!(whole ? Number.isSafeInteger(found) : Number.isFinite(found)) || found < min || found > max) {
    const range = max < Infinity ? ` from ${min} to ${max}` : min > -Infinity ? ` from ${min}` : "";
    throw new TypeError(`${name} has to be a ${whole ? "whole " : ""}number${range}`);
  }
  return found;
}

function object(text, what) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`${what} is no JSON: ${error.message}`);
  }
  return value;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function tools(text) {
  if (!text.trim()) return undefined;
  const given = object(text, "The tools");
  const all = Array.isArray(given) ? given : [given];
  const made = all.map((each, n) => {
    const told = isObject(each) && isObject(each.function) ? each.function : each;
    if (!isObject(told) || typeof told.name !== "string" || !told.name) throw new TypeError(`Tool ${n + 1} has no name`);
    if (told.parameters !== undefined && !isObject(told.parameters)) throw new TypeError(`${told.name}: parameters has to be a JSON schema`);
    const { type, ...bare } = told;
    return { type: "function", function: told === each ? bare : told };
  });
  return made.length ? made : undefined;
}

function schema(text) {
  if (!text.trim()) return undefined;
  const given = object(text, "The schema");
  if (!isObject(given)) throw new TypeError("The schema has to be an object");
  const name = typeof given.title === "string" ? given.title.replace(/[^\w-]/g, "_").slice(0, 64) : "";
  return { type: "json_schema", json_schema: { name: name || "answer", schema: given, strict: true } };
}

const stops = (text) =>
  text.split("\n").filter((line) => line !== "").map((line) => line.replace(/\\[ntr\\]/g, (each) => ESCAPES[each]));

/**
 * Return the fields of a request that settings make, and what is wrong with them.
 * @returns {{fields: Record<string, any>, errors: {name: string, message: string}[]}}
 */
export function parsed(settings) {
  const errors = [];
  const fields = {};
  const give = (name, value) => value !== undefined && (fields[name] = value);
  for (const name of Object.keys(NUMBERS)) give(name, read(errors, name, () => number(name, settings[name])));
  const stop = stops(settings.stop);
  if (stop.length) fields.stop = stop;
  const told = read(errors, "tools", () => tools(settings.tools));
  give("tools", told);
  if (settings.choice !== "auto" && !settings.tools.trim()) errors.push({ name: "choice", message: "tool_choice needs tools" });
  if (told && settings.choice !== "auto") {
    const isWord = ["none", "required"].includes(settings.choice);
    if (!isWord && !told.some((each) => each.function.name === settings.choice))
      errors.push({ name: "choice", message: `there is no tool ${settings.choice}` });
    fields.tool_choice = isWord ? settings.choice : { type: "function", function: { name: settings.choice } };
  }
  give("response_format", read(errors, "schema", () => schema(settings.schema)));
  return { fields, errors };
}

const NAMES = ["system", ...Object.keys(NUMBERS), "stop", "tools", "choice", "schema"];
const field = (name) => $(`set-${name}`);

function choices(settings) {
  const known = parsed({ ...settings, choice: "auto" }).fields.tools?.map((each) => each.function.name) ?? [];
  const named = ["auto", "none", "required"].includes(settings.choice) ? [] : [settings.choice];
  const names = [...new Set(["auto", "none", "required", ...known, ...named])];
  field("choice").replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  field("choice").value = settings.choice;
}

/** Say of each field what is wrong with it, and which models do not have it. */
function judge(settings, models) {
  const { errors } = parsed(settings);
  for (const name of NAMES) {
    const found = errors.find((each) => each.name === name);
    const without = name in NUMBERS && settings[name] !== "" ? models.filter(({ parameters }) => !parameters.includes(name)) : [];
    const said = found?.message ?? (without.length ? `${without.map((each) => each.name).join(" and ")} takes no ${name}; it has no effect there` : "");
    const note = $(`note-${name}`);
    if (note.textContent !== said) note.textContent = said;
    note.className = found ? "note bad" : "note";
    field(name).setAttribute("aria-invalid", String(Boolean(found)));
  }
  const count = NAMES.filter((name) => settings[name] !== DEFAULTS[name]).length;
  $("settings-open").textContent = count ? `Settings · ${count}` : "Settings";
}

/**
 * Have the form change settings.
 * @param {() => {settings: any, models: any[]}} current The conversation's settings, and its models.
 * @param {() => void} changed
 */
export function bindSettings(current, changed) {
  for (const name of NAMES)
    field(name).addEventListener("input", () => {
      const { settings, models } = current();
      settings[name] = field(name).value;
      if (name === "tools") choices(settings);
      judge(settings, models);
      changed();
    });
}

/** Show settings in the form. */
export function showSettings({ settings, models }) {
  for (const name of NAMES) if (name !== "choice") field(name).value = settings[name];
  choices(settings);
  judge(settings, models);
}
