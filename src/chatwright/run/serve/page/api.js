// The server, over fetch.

/** An answer that is no success: its status, and what the server said. */
export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function post(path, body, headers, signal) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  if (response.ok) return response;
  const said = await response.text();
  let message = said.slice(0, 2000) || response.statusText;
  try {
    const { error } = JSON.parse(said);
    message = error.message ?? error;
  } catch {
    // No JSON: a proxy between here and there says what it likes.
  }
  throw new HttpError(response.status, `${message}`);
}

/**
 * Return the JSON that a path answers with; without a body it is asked by GET.
 * @throws {HttpError}
 */
export async function json(path, body, { headers = {}, signal } = {}) {
  return (await post(path, body, headers, signal)).json();
}

/**
 * Yield the objects of a stream of server-sent events, until it ends.
 * @throws {HttpError} The server refused.
 * @throws {TypeError} The connection was lost.
 */
export async function* events(path, body, { headers = {}, signal } = {}) {
  const response = await post(path, body, headers, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = [];
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held.push(value);
      if (!/[\r\n]/.test(value)) continue; // a line of a megabyte is joined once, not for each piece
      // A CR that ends the piece may be half of a CRLF, and waits for the next one.
      const lines = held.join("").split(/\r\n|\n|\r(?!$)/);
      held = [lines.pop()];
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line === "" && data.length) {
          const whole = data.join("\n");
          data = [];
          yield JSON.parse(whole);
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // a stream that failed can't be cancelled
  }
}
