// How the inspector draws what it knows.

import { el } from "./dom.js";

let made = 0;

/** Return an id that no other element of the page has. */
export const newId = () => `inspector-${(made += 1)}`;

/** Return a count with its noun: `1 piece`, `2 pieces`. */
export const counted = (count, noun) =>
  `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Return a time in milliseconds as people read it. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

const LONGEST = 2_000;
const COLOURED = 200_000;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** Return a value as JSON to be looked at; long texts are cut, and say so. */
export const pretty = (value) =>
  JSON.stringify(
    value,
    (_, each) =>
      typeof each === "string" && each.length > LONGEST
        ? `${each.slice(0, LONGEST)}… (${(each.length - LONGEST).toLocaleString("en")} more characters)`
        : each,
    2,
  );

/** Make a block of JSON, in colour unless that would take long. */
export function jsonBlock(value, label) {
  const text = pretty(value) ?? "null";
  const block = el("pre", { className: "in-code", tabindex: "0", role: "region", "aria-label": label });
  if (text.length > COLOURED) {
    block.textContent = text;
    return block;
  }
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon] = found;
    const kind = string ? (colon ? "key" : "string") : "value";
    block.append(text.slice(at, found.index), el("span", { className: `in-${kind}` }, string ?? whole));
    at = found.index + (string ?? whole).length;
  }
  block.append(text.slice(at));
  return block;
}

/** Have the inspector's own styles, once. */
export function styled() {
  const href = new URL("inspector.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(el("link", { rel: "stylesheet", href }));
}
