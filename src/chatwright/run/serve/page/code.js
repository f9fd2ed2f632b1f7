// Colours code: comments, strings, numbers and words, which is what a reader's eye needs, in one pass of each
// language's one pattern; no pattern here goes back over more than it has read.

const LONGEST = 100_000; // characters; beyond, colour is not worth the wait

const C_LIKE = { line: "//", block: "/*", strings: "\"'" };
const words = (text) => new Set(text.split(" "));
const LITERALS = words("true false null None True False undefined nil NaN NULL TRUE FALSE nullptr this self super");

const LANGUAGES = {
  "python py python3 pycon ipython": { line: "#", strings: "\"'", triple: true, words: words("and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield type") },
  "javascript js jsx mjs node typescript ts tsx": { ...C_LIKE, strings: "\"'`", words: words("async await break case catch class const continue debugger default delete do else export extends finally for from function if implements import in instanceof interface let new of private public readonly return static switch throw try type typeof var void while yield") },
  "json jsonc json5 jsonl": { ...C_LIKE, keys: true, words: new Set() },
  "yaml yml": { line: "#", strings: "\"'", keys: true, words: new Set() },
  "toml ini": { line: "#", strings: "\"'", triple: true, words: new Set() },
  "bash sh shell zsh console": { line: "#", strings: "\"'", variables: true, words: words("if then else elif fi for while until do done case esac in function return local export readonly set unset exit echo cd source") },
  "sql postgresql mysql sqlite": { line: "--", block: "/*", strings: "'\"", anyCase: true, words: words("select from where and or not in is as on join left right inner outer full cross group by order having limit offset insert into values update set delete create table index view drop alter add primary key foreign references unique default with union all distinct case when then else end exists between like asc desc") },
  "java kotlin kt": { ...C_LIKE, words: words("abstract assert boolean break byte case catch char class const continue default do double else enum extends final finally float for if implements import instanceof int interface long new package private protected public record return short static switch synchronized throw throws try var void volatile while fun val when override data object") },
  "cpp c c++ h hpp cc cxx": { ...C_LIKE, words: words("alignas auto bool break case catch char class concept const constexpr continue default delete do double else enum explicit extern float for friend if inline int long mutable namespace new noexcept operator override private protected public register requires return short signed sizeof static static_cast struct switch template throw try typedef typename union unsigned using virtual void volatile while") },
  "go golang": { ...C_LIKE, strings: "\"'`", words: words("break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var string int bool error byte float64 any") },
  "rust rs": { ...C_LIKE, strings: '"', words: words("as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut pub ref return Self static struct trait type unsafe use where while bool char f32 f64 i32 i64 str u8 u32 u64 usize") },
  "css scss": { block: "/*", strings: "\"'", words: new Set() },
  "xml html svg xhtml vue": { block: "<!--", strings: "\"'", tags: true, words: new Set() },
};
const NAMED = new Map(Object.entries(LANGUAGES).flatMap(([names, spec]) => names.split(" ").map((name) => [name, spec])));

const BLOCKS = { "/*": "\\/\\*[^]*?(?:\\*\\/|(?![^]))", "<!--": "<!--[^]*?(?:-->|(?![^]))" };
const quoted = (sign) =>
  sign === "`" ? "`(?:\\\\[^]|[^`\\\\])*`?" : `${sign}(?:\\\\[^]|[^${sign}\\\\\\n])*${sign}?`;

function pattern(spec) {
  const strings = [...(spec.triple ? ['"""[^]*?(?:"""|(?![^]))', "'''[^]*?(?:'''|(?![^]))"] : []), ...[...spec.strings].map(quoted)];
  const comments = [spec.block && BLOCKS[spec.block], spec.line && `${spec.line === "#" ? "(?<![^\\s])" : ""}${spec.line}.*`].filter(Boolean);
  const parts = [
    `(?<comment>${comments.join("|")})`,
    ...(spec.keys ? [`(?<attr>\"(?:\\\\[^]|[^\"\\\\\\n]){0,200}\"(?=\\s{0,9}:)|(?<=^|[\\n {,-])[\\w.-]{1,80}(?=:(?:\\s|(?![^]))))`] : []),
    `(?<string>${strings.join("|")})`,
    ...(spec.tags ? ["(?<tag><\\/?[\\w:-]{1,80}|\\/?>)|(?<attr>[\\w:-]{1,80}(?==))"] : []),
    ...(spec.variables ? ["(?<variable>\\$(?:\\w+|\\{[^}\\n]*\\}?))"] : []),
    "(?<meta>@[A-Za-z_][\\w.]*)",
    "(?<number>(?<![\\w.])\\d[\\w.]*)",
    "(?<word>[A-Za-z_]\\w*)(?<call>\\()?",
  ];
  return new RegExp(parts.join("|"), "g");
}

function kind(spec, groups) {
  const [name, text] = Object.entries(groups).find(([, found]) => found !== undefined);
  if (name !== "word") return [name, text];
  if (spec.words.has(spec.anyCase ? text.toLowerCase() : text)) return ["keyword", text];
  if (LITERALS.has(text)) return ["literal", text];
  return groups.call ? ["title", text] : [null, text];
}

/** Colour the text of an element that holds code; one in a language that is not known stays as it is. */
export function highlight(element, text, language) {
  const spec = NAMED.get(language.toLowerCase());
  if (!spec || text.length > LONGEST) return;
  spec.pattern ??= pattern(spec);
  const fragment = document.createDocumentFragment();
  let done = 0;
  for (const found of text.matchAll(spec.pattern)) {
    const [name, part] = kind(spec, found.groups);
    if (!name) continue;
    const span = document.createElement("span");
    span.className = `h-${name}`;
    span.textContent = part;
    fragment.append(text.slice(done, found.index), span);
    done = found.index + part.length;
  }
  fragment.append(text.slice(done));
  element.replaceChildren(fragment);
}
