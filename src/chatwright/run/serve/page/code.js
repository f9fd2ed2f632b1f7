// Highlights code; loaded when the first block of code is closed.

import hljs from "./vendor/highlight/core.min.js";

const NAMES = {
  python: "python py python3 pycon ipython", javascript: "javascript js jsx mjs node", typescript: "typescript ts tsx",
  json: "json jsonc json5 jsonl", bash: "bash sh shell zsh console", xml: "xml html svg xhtml vue", sql: "sql postgresql mysql sqlite",
  java: "java", cpp: "cpp c c++ h hpp cc", go: "go golang", rust: "rust rs", yaml: "yaml yml",
};
const FILES = new Map(Object.entries(NAMES).flatMap(([file, names]) => names.split(" ").map((name) => [name, file])));
const LONGEST = 50_000; // characters; beyond, colour is not worth the wait

/** Build the elements of a tree of highlight.js: its own way out is HTML, which nothing here parses. */
function build(parent, children) {
  for (const child of children) {
    if (typeof child === "string") parent.append(child);
    else {
      const span = document.createElement("span");
      if (child.scope) span.className = `h-${child.scope.split(".")[0]}`;
      build(span, child.children);
      parent.append(span);
    }
  }
}

/** Colour the text of an element that holds code; one without a language that is known stays as it is. */
export async function highlight(element, text, language) {
  const file = FILES.get(language.toLowerCase());
  if (!file || text.length > LONGEST) return;
  if (!hljs.getLanguage(file))
    hljs.registerLanguage(file, (await import(`./vendor/highlight/${file}.min.js`)).default);
  const result = hljs.highlight(text, { language: file, ignoreIllegals: true });
  const fragment = document.createDocumentFragment();
  build(fragment, result._emitter.rootNode.children);
  element.replaceChildren(fragment);
}
