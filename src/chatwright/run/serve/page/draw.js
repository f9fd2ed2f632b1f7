// How the inspector draws: elements made by hand, so that nothing is ever parsed as HTML.

const PROPERTIES = new Set(["checked", "className", "disabled", "hidden", "open", "textContent"]);
let made = 0;

/** Return an id that no other element of the page has. */
export const newId = () => `inspector-${(made += 1)}`;

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} given Attributes and properties; `on…` are listeners.
 * @param {...(Node|string)} children
 */
export function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Make a button that copies a text; what came of it is said to screen readers, too. */
export function copyButton(text, label = "Copy") {
  const said = el("span", { role: "status", className: "in-hidden" });
  const button = el("button", { type: "button", className: "in-button" }, label);
  button.addEventListener("click", async () => {
    let told = "Copied";
    try {
      await navigator.clipboard.writeText(await text());
    } catch {
      told = "The browser refused to copy"; // as it does on a page by plain HTTP, but for loopback
    }
    button.textContent = said.textContent = told;
    setTimeout(() => {
      button.textContent = label;
      said.textContent = "";
    }, 1600);
  });
  return el("span", {}, button, said);
}

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
