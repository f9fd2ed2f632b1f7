// An answer's request as others would send it: curl, Python, an endpoint file. No DOM.
// No key stands in any of them: where one is needed, an environment variable is named.

const CONSTRUCTOR = ["temperature", "top_p", "seed", "max_tokens", "frequency_penalty", "presence_penalty", "stop"];
const IN_FILES = ["temperature", "top_p", "seed", "max_tokens"];
const KEY = "CHATWRIGHT_API_KEY";

/**
 * What all of them are made of.
 * @typedef {object} Asked
 * @property {Record<string, any>} request The body of a chat completion.
 * @property {string} origin Where the server is, such as `http://127.0.0.1:8000`.
 * @property {boolean} needsKey Whether it wants a key.
 */

const given = (request) =>
  Object.fromEntries(
    Object.entries(request).filter(([name, value]) => name !== "stream" && value !== null && value !== undefined),
  );

/** Return a command for a POSIX shell. @param {Asked} asked */
export function curl({ request, origin, needsKey }) {
  const body = JSON.stringify({ ...given(request), stream: true }, null, 2);
  const key = needsKey ? ` \\\n  -H "Authorization: Bearer $${KEY}"` : "";
  const quoted = body.replaceAll("'", String.raw`'\''`);
  return `curl -N ${origin}/v1/chat/completions \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${quoted}'\n`;
}

/** Return a value as Python writes it. */
export function python(value, indent = 0) {
  const [here, inner] = [" ".repeat(indent), " ".repeat(indent + 4)];
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value); // its escapes are Python's, too
  const items = Array.isArray(value)
    ? value.map((each) => python(each, indent + 4))
    : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each, indent + 4)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!items.length) return open + close;
  const line = open + items.join(", ") + close;
  if (!line.includes("\n") && line.length + indent < 80) return line;
  return `${open}\n${items.map((each) => `${inner}${each},\n`).join("")}${here}${close}`;
}

const keyed = (needsKey) => (needsKey ? `os.environ["${KEY}"]` : '"none"');
const imports = (needsKey) => (needsKey ? "import os\n\n" : "");
const lines = (fields) => Object.entries(fields).map(([name, value]) => `    ${name}=${python(value, 4)},\n`).join("");

/** Return a program for the package openai. @param {Asked} asked */
export function openai({ request, origin, needsKey }) {
  return `${imports(needsKey)}from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=${keyed(needsKey)})
stream = client.chat.completions.create(
${lines({ ...given(request), stream: true })})
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
print()
`;
}

/** Return a program for the package langchain-openai. @param {Asked} asked */
export function langchain({ request, origin, needsKey }) {
  const { model, messages, ...rest } = given(request);
  const split = (wanted) =>
    Object.fromEntries(Object.entries(rest).filter(([name]) => CONSTRUCTOR.includes(name) === wanted));
  return `${imports(needsKey)}from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url="${origin}/v1",
    api_key=${keyed(needsKey)},
${lines({ model, ...split(true) })})
messages = ${python(messages)}
${lines(split(false)) ? `parameters = ${python(split(false))}\n` : ""}for chunk in model.stream(messages${lines(split(false)) ? ", **parameters" : ""}):
    print(chunk.text, end="", flush=True)
print()
`;
}

const DEL = String.fromCharCode(127);

/** Return a value as TOML writes it. */
function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  // A basic string has JSON's escapes, and wants one for DEL as well.
  return JSON.stringify(value).replaceAll(DEL, String.raw`\u007f`);
}

/** Return an endpoint file, which names what of the request it can't hold. @param {Asked} asked */
export function endpoint({ request, origin, needsKey }) {
  const { model, messages, stop, ...rest } = given(request);
  const fields = { url: `${origin}/v1`, wire: "openai", model };
  if (needsKey) fields.key_env = KEY;
  for (const name of IN_FILES) if (name in rest) fields[name] = rest[name];
  if (rest.max_completion_tokens !== undefined) fields.max_tokens ??= rest.max_completion_tokens;
  if (stop?.length) Object.assign(fields, { stop: [stop].flat(), include_stop: false });
  const held = new Set([...IN_FILES, "max_completion_tokens"]);
  const left = Object.keys(rest).filter((name) => !held.has(name));
  const file = Object.entries(fields).map(([name, value]) => `${name} = ${toml(value)}\n`).join("");
  const note = left.length ? `# Parameters of a call, not of a file: ${left.join(", ")}.\n` : "";
  return `# Save it as model.toml; then: chatwright chat -m model.toml\n${file}${note}`;
}
