"""Weights come from a hub: one on loopback."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEIGHTS = b"GGUF" + bytes(100)


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("ETag", '"0123456789"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(WEIGHTS)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(WEIGHTS)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {
    "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
    "HF_HOME": str(Path("hub").resolve()),
    "HF_HUB_DISABLE_XET": "1",
    "NO_PROXY": "127.0.0.1",
}

from chatwright.wrap.gguf import weights

assert weights.find("hf:acme/little/little.gguf").read_bytes() == WEIGHTS
