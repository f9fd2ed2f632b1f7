// JSON as a tree that folds.

import { el } from "./dom.js";

const MOST = 200; // members that are shown of one object or list

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return el("span", { class: `json-${kind}`, dir: kind === "string" ? "auto" : null }, JSON.stringify(value));
}

/** Return the element of a value, under its name. */
export function tree(value, name = null, depth = 0) {
  const label = name === null ? [] : [el("span", { class: "json-key" }, name), ": "];
  if (value === null || typeof value !== "object") return el("div", { class: "json" }, ...label, leaf(value));
  const entries = Object.entries(value);
  const isList = Array.isArray(value);
  const size = isList ? `[ ${entries.length} ]` : `{ ${entries.length} }`;
  const node = el("details", { class: "json", open: depth < 2 }, el("summary", {}, ...label, el("span", { class: "json-size" }, size)));
  const fill = () => {
    if (node.open && node.children.length === 1) {
      node.append(...entries.slice(0, MOST).map(([key, each]) => tree(each, key, depth + 1)));
      if (entries.length > MOST) node.append(el("div", { class: "json hint" }, `… and ${entries.length - MOST} more`));
    }
  };
  node.addEventListener("toggle", fill);
  fill();
  return node;
}
