"""Made-up servers: what they answer, and how they are reached."""

import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-canary-8f2e91d07c"
COUNTED = ", ".join(map(str, range(1, 21)))


def answer_to(text):
    """Answer as an obedient LLM."""
    if found := re.search(r"[Rr]epeat the word (\w+)", text):
        return found[1]
    return COUNTED if "Count from" in text else f"Hello, you said {len(text)} letters."


@contextlib.contextmanager
def serving(play):
    """Serve what `play(path, headers, body)` returns: a status, a content type and pieces."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            kind = self.headers.get("content-type", "")
            body = json.loads(raw) if "json" in kind else raw.decode()
            self.answer(body)

        def answer(self, body):
            seen.append((f"{self.command} {self.path}", dict(self.headers), body))
            status, kind, pieces = play(self.path, self.headers, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)

        do_PUT = do_GET = do_POST  # noqa: N815  http.server's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_json(value, status=200):
    return status, "application/json", [json.dumps(value).encode()]


def words(text):
    return re.findall(r"\s*\S+", text)
