// Math in Markdown: `$$…$$`, `\[…\]`, `\(…\)`, and `$…$` where it can't be money.

const BLOCK = /^ {0,3}(?:\$\$((?:(?!\n[ \t]*\n)[^])+?)\$\$|\\\[((?:(?!\n[ \t]*\n)[^])+?)\\\])[ \t]*(?:\n+|$)/;
const DISPLAY = /^(?:\$\$((?:(?!\n[ \t]*\n)[^]){1,8000}?)\$\$|\\\[((?:(?!\n[ \t]*\n)[^]){1,8000}?)\\\])/;
const INLINE = /^\\\(((?:(?!\n[ \t]*\n)[^]){1,2000}?)\\\)/;
// As Pandoc has it: no space inside of either dollar, and neither letter nor digit after the second.
const DOLLARS = /^\$([^\s$](?:[^$\n]{0,198}[^\s$])?)\$(?![\p{L}\p{N}$])/u;

const isFormula = (source) => !/^\d/.test(source) || /^[\d.,]+$/.test(source) || /[\\^_{}=<>+*/]/.test(source);

function token(found, display) {
  const source = found && (found[1] ?? found[2]);
  return source?.trim() ? { type: "math", raw: found[0], source, display } : undefined;
}

function inline(text) {
  const display = token(DISPLAY.exec(text), true);
  if (display) return display;
  const dollars = DOLLARS.exec(text);
  return token(INLINE.exec(text) ?? (dollars && isFormula(dollars[1]) ? dollars : null), false);
}

/** Extensions of marked: tokens `{type: "math", source, display}`. */
export const MATH = [
  {
    name: "mathBlock",
    level: "block",
    start: (text) => text.match(/\n {0,3}(?:\$\$|\\\[)/)?.index,
    tokenizer: (text) => token(BLOCK.exec(text), true),
  },
  {
    name: "math",
    level: "inline",
    start: (text) => text.match(/\$|\\[[(]/)?.index,
    tokenizer: inline,
  },
];
