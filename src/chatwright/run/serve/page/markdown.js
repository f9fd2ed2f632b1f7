// Markdown as elements. What a model says is hostile until it is text: its HTML is shown, not parsed, links
// go to the web or to mail only, and no image is loaded.

import { copyButton, el } from "./dom.js";
import { MATH } from "./math.js";
import { Lexer, Marked } from "./vendor/marked/marked.esm.js";

const { defaults } = new Marked({ gfm: true, extensions: MATH });
const DEEPEST = 40; // elements inside each other

const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00A0", copy: "©", reg: "®", trade: "™", deg: "°",
  mdash: "—", ndash: "–", hellip: "…", times: "×", divide: "÷", plusmn: "±", middot: "·", bull: "•", euro: "€",
  larr: "←", rarr: "→", uarr: "↑", darr: "↓", le: "≤", ge: "≥", ne: "≠", laquo: "«", raquo: "»",
  lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", sect: "§", para: "¶", infin: "∞", pi: "π", alpha: "α", beta: "β",
};

/** Return a text with its character references resolved; those that are unknown stay. */
export function decoded(text) {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(\w{1,10}));/g, (whole, decimal, hex, name) => {
    if (name) return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : whole;
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\uFFFD";
  });
}

/** Return an address that a link may have, or null. */
export function safeAddress(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
}

/** Return the tokens of a text, with what is told of links in `links`, which is added to. */
export function lex(text, links) {
  const lexer = new Lexer(defaults);
  Object.assign(lexer.tokens.links, links);
  const tokens = lexer.lex(text);
  Object.assign(links, tokens.links);
  return tokens;
}

const shown = (tokens) => (tokens ?? []).filter(({ type }) => type !== "space" && type !== "def");

function filled(node, token, depth, tokens = token.tokens) {
  token.children = shown(tokens);
  node.append(...token.children.map((each) => make(each, depth + 1)));
  return node;
}

function link(token, depth) {
  const href = safeAddress(decoded(token.href));
  if (!href) return filled(el("span", { class: "nolink", title: token.href.slice(0, 200) }), token, depth);
  return filled(el("a", { href, title: token.title, rel: "noopener noreferrer nofollow", target: "_blank" }), token, depth);
}

/** An image is a link to it: loading it would tell its server who reads. */
function image(token) {
  const label = decoded(token.text) || "no description";
  const href = safeAddress(decoded(token.href));
  if (!href) return el("span", { class: "nolink", title: token.href.slice(0, 200) }, `[image: ${label}]`);
  return el("a", { class: "picture", href, rel: "noopener noreferrer nofollow", target: "_blank" }, `Image: ${label}`);
}

function code(token) {
  const language = decoded(token.lang ?? "").split(/\s/)[0].slice(0, 40);
  token.code = el("code", {}, token.text);
  token.language = language;
  const copy = copyButton(() => token.code.textContent);
  copy.setAttribute("aria-label", "Copy the code");
  const pre = el("pre", { dir: "ltr", tabindex: 0, role: "region", "aria-label": `Code ${language}`.trim() }, token.code);
  colour(token);
  return el("figure", { class: "code" }, el("figcaption", {}, el("span", {}, language || "text"), copy), pre);
}

/** Colour a block of code once it is closed. */
function colour(token) {
  if (!token.language || !/\n[ \t>]*(`{3,}|~{3,})\s*$/.test(token.raw)) return;
  import("./code.js").then(({ highlight }) => highlight(token.code, token.text, token.language)).catch(() => {});
}

function math({ source, display }) {
  const node = el("span", { class: display ? "math display" : "math", dir: "ltr" }, source);
  if (display) {
    node.tabIndex = 0; // it may be wider than the screen
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", "Formula");
  }
  import("./formula.js").then(({ set }) => set(node, source, display)).catch(() => {});
  return node;
}

const row = (tag, depth) => (cells) =>
  el("tr", {}, ...cells.map(({ tokens, align }) =>
    filled(el(tag, { dir: "auto", class: align && `to-${align}` }), {}, depth + 3, tokens)));

function table(token, depth) {
  token.body = el("tbody", {}, ...token.rows.map(row("td", depth)));
  const whole = el("table", {}, el("thead", {}, row("th", depth)(token.header)), token.body);
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, whole);
}

const sameCells = (a, b) => a.length === b.length && a.every(({ text, align }, n) => text === b[n].text && align === b[n].align);

/** Change the rows of the table before that are not those of a token. */
function grownTable(before, token, depth) {
  if (!sameCells(before.header, token.header)) return false;
  Object.assign(token, { node: before.node, body: before.body });
  const same = token.rows.findIndex((cells, n) => !before.rows[n] || !sameCells(before.rows[n], cells));
  const kept = same < 0 ? token.rows.length : same;
  while (token.body.children.length > kept) token.body.lastChild.remove();
  token.body.append(...token.rows.slice(kept).map(row("td", depth)));
  return true;
}

const html = ({ text, block }) =>
  /^<br\s*\/?>$/i.test(text.trim()) ? el("br") : block ? el("p", { class: "html", dir: "auto" }, text) : document.createTextNode(text);

const MAKERS = {
  // An answer's headings stand below those of the page.
  heading: (token, depth) => filled(el(`h${Math.min(token.depth + 2, 6)}`, { dir: "auto" }), token, depth),
  paragraph: (token, depth) => filled(el("p", { dir: "auto" }), token, depth),
  blockquote: (token, depth) => filled(el("blockquote", { dir: "auto" }), token, depth),
  list: (token, depth) =>
    filled(el(token.ordered ? "ol" : "ul", { start: token.start > 1 ? token.start : null, class: token.loose && "loose" }), token, depth, token.items),
  list_item: (token, depth) => filled(el("li", { dir: "auto", class: token.task && "task" }), token, depth),
  checkbox: ({ checked }) => el("input", { type: "checkbox", checked, disabled: true, "aria-label": "Task" }),
  text: (token, depth) => (token.tokens ? filled(el("span"), token, depth) : document.createTextNode(decoded(token.text))),
  escape: ({ text }) => document.createTextNode(text),
  strong: (token, depth) => filled(el("strong"), token, depth),
  em: (token, depth) => filled(el("em"), token, depth),
  del: (token, depth) => filled(el("del"), token, depth),
  codespan: ({ text }) => el("code", {}, text),
  br: () => el("br"),
  hr: () => el("hr"),
  code, html, image, link, math, table,
};

/** Return the one node of a token. */
function make(token, depth = 0) {
  const maker = Object.hasOwn(MAKERS, token.type) ? MAKERS[token.type] : null;
  token.node = maker && depth < DEEPEST ? maker(token, depth) : document.createTextNode(token.raw);
  return token.node;
}

const KEPT = ["type", "depth", "ordered", "start", "loose", "task", "lang"];
const GROW = new Set(["paragraph", "heading", "blockquote", "list", "list_item"]);

/** Change the node of the token before so that it is that of a token; false where it has to be made anew. */
function grown(before, token, depth) {
  if (KEPT.some((name) => before[name] !== token[name])) return false;
  if (token.type === "code" && before.code) {
    Object.assign(token, { node: before.node, code: before.code, language: before.language });
    if (before.text !== token.text) token.code.textContent = token.text;
    colour(token);
    return true;
  }
  if (token.type === "table" && before.body) return grownTable(before, token, depth);
  if (!GROW.has(token.type) || !before.children) return false;
  token.node = before.node;
  token.children = patched(token.node, before.children, token.items ?? token.tokens, depth + 1);
  return true;
}

/**
 * Change a parent's nodes, made of tokens before, so that they are those of other tokens, and return these.
 * What has not changed keeps its nodes, and with them the selection and the place that was scrolled to.
 */
export function patched(parent, before, tokens, depth = 0) {
  const after = shown(tokens);
  let same = 0;
  while (same < before.length && same < after.length && before[same].raw === after[same].raw && before[same].type === after[same].type) {
    after[same] = before[same];
    same += 1;
  }
  if (same < before.length && same < after.length && grown(before[same], after[same], depth)) same += 1;
  for (const { node } of before.slice(same)) if (node.parentNode === parent) node.remove();
  const next = before[same - 1]?.node.nextSibling ?? null;
  for (const each of after.slice(same)) parent.insertBefore(make(each, depth), same ? next : null);
  return after;
}
