"""A provider's batch API on loopback, as OpenAI's and Anthropic's references have it.

Files, batches, their lists, states and outputs; wrong requests are refused as the providers refuse
them. A batch goes one state further each time that somebody looks at it.
"""

import json
import os
import random
import signal
import threading
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "sk-test-provider"
STATES = ["validating", "in_progress", "finalizing", "completed"]
UPPER = "upper"


class Provider:
    """The server.

    Attributes:
        answer: Makes of a request's body what becomes of it: a text; or a dict for a body of its
            own; or ("error", status, message), "expired", "cancelled", "missing".
        ends: How batches end that are looked at; a list gives it for each by its turn.
        problems: What the next batch that is looked at fails with: OpenAI's `errors.data`.
        faults: What goes wrong with the n-th request, from 0: a status; "lost" before it is
            looked at, or "cut" after all of it was done.
        rows: How many requests a batch may have.
        size: How many bytes.
        kill: A pid, the number of a request, and "lost" or "cut": it is killed then.
    """

    def __init__(self, wire="openai", answer=None):
        self.wire = wire
        self.answer = answer or (lambda body: body["messages"][-1]["content"].upper())
        self.ends = "completed"
        self.problems = []
        self.faults = {}
        self.rows, self.size = 50_000, 200_000_000
        self.kill = None
        self.lists = True
        self.files, self.batches, self.requests = {}, [], []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        port = self._server.server_address[1]
        path = "/v1/messages" if wire == "anthropic" else "/v1"
        self.url = f"http://127.0.0.1:{port}{path}#some-model"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def serve(self):
        self._server.serve_forever(0.05)

    def asked(self):
        """Return how often each prompt stands in a batch that was made."""
        counts = {}
        for batch in self.batches:
            for body in batch["bodies"].values():
                text = body["messages"][-1]["content"]
                counts[text] = counts.get(text, 0) + 1
        return counts

    # Requests.

    def handle(self, method, path, query, headers, body):
        """Return a status and a body."""
        key = headers.get("x-api-key") or (headers.get("authorization") or "").removeprefix(
            "Bearer "
        )
        if key != KEY:
            return 401, self.error("authentication_error", "no such key")
        if path.startswith("/v1/messages/batches") and self.wire == "anthropic":
            if headers.get("anthropic-version") != "2023-06-01":
                return 400, self.error("invalid_request_error", "anthropic-version: missing")
            parts = path.removeprefix("/v1/messages/batches").strip("/").split("/")
            return self._anthropic(method, [each for each in parts if each], query, body)
        parts = path.removeprefix("/v1").strip("/").split("/")
        if parts == ["chat", "completions"]:
            return 200, _completion("0", self.answer(json.loads(body)))
        if self.wire != "openai" or parts[0] not in {"files", "batches"}:
            return 404, self.error("not_found_error", f"no route {path}")
        route = self._files if parts[0] == "files" else self._openai
        return route(method, parts[1:], query, headers, body)

    def error(self, kind, message):
        if self.wire == "anthropic":
            return {"type": "error", "error": {"type": kind, "message": message}}
        return {"error": {"type": kind, "message": message, "code": None, "param": None}}

    def bad(self, message):
        return 400, self.error("invalid_request_error", message)

    def _files(self, method, parts, query, headers, body):
        if method == "POST":
            head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
            form = {
                each.get_param("name", header="content-disposition"): each
                for each in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
            }
            if form["purpose"].get_content().strip() != "batch":
                return self.bad("purpose: batch is needed")
            if not form["file"].get_filename().endswith(".jsonl"):
                return self.bad("file: .jsonl is needed")
            content = form["file"].get_payload(decode=True)
            if len(content) > self.size:
                return 413, self.error("invalid_request_error", "the file is too large")
            name = f"file-{len(self.files)}"
            self.files[name] = content
            return 200, {"id": name, "object": "file", "purpose": "batch", "bytes": len(content)}
        if parts[1:] == ["content"] and parts[0] in self.files:
            return 200, self.files[parts[0]]
        return 404, self.error("invalid_request_error", f"no file {parts}")

    def _openai(self, method, parts, query, headers, body):
        if method == "POST" and not parts:
            return self._made(json.loads(body))
        if not parts:
            return self._listed(query, "after")
        batch = next((each for each in self.batches if each["told"]["id"] == parts[0]), None)
        if batch is None:
            return 404, self.error("invalid_request_error", f"no batch {parts[0]}")
        told = batch["told"]
        if method == "POST" and parts[1:] == ["cancel"]:
            told["status"] = "cancelling"
            batch["end"] = "cancelled"
        elif told["status"] in {*STATES[:-1], "cancelling"}:
            self._step(batch)
        return 200, told

    def _made(self, asked):
        if asked["completion_window"] != "24h" or asked["input_file_id"] not in self.files:
            return self.bad("input_file_id: no such file")
        if asked["endpoint"] not in {"/v1/chat/completions", "/v1/responses"}:
            return self.bad(f"endpoint: {asked['endpoint']}")
        metadata = asked.get("metadata") or {}
        assert all(len(k) <= 64 and len(v) <= 512 for k, v in metadata.items())
        told = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": metadata,
        }
        lines = [json.loads(each) for each in self.files[asked["input_file_id"]].splitlines()]
        for each in lines:
            assert (each["method"], each["url"]) == ("POST", asked["endpoint"])
            assert not each["body"].keys() & {"stream", "stream_options"}
            assert each["body"]["model"] == "some-model"
        self._add(told, {each["custom_id"]: each["body"] for each in lines}, len(lines))
        return 200, told

    def _add(self, told, bodies, count):
        assert len(bodies) == count, "custom_id is not unique"
        assert all(len(each) <= 64 for each in bodies)
        end = self.ends
        if isinstance(end, list):
            end = end.pop(0) if end else "completed"
        self.batches.append({"told": told, "bodies": bodies, "end": end})

    def _listed(self, query, cursor):
        if not self.lists:
            return 404, self.error("not_found_error", "no such route")
        told = [each["told"] for each in reversed(self.batches)]
        names = [each["id"] for each in told]
        start = names.index(query[cursor]) + 1 if cursor in query else 0
        limit = int(query.get("limit", 20))
        page = told[start : start + limit]
        return 200, {"data": page, "has_more": start + limit < len(told)}

    def _step(self, batch):
        told = batch["told"]
        if self.problems and told["status"] == "validating":
            told["errors"] = {"object": "list", "data": self.problems}
            self.problems = []
            told["status"] = "failed"
            return
        if len(batch["bodies"]) > self.rows:
            told["errors"] = {"data": [{"code": "too_many_requests", "message": "too many"}]}
            told["status"] = "failed"
            return
        total = len(batch["bodies"])
        if told["status"] == "cancelling" or told["status"] == "finalizing":
            told["status"] = batch["end"]
            self._write(batch)
        elif batch["end"] != "never":
            told["status"] = STATES[STATES.index(told["status"]) + 1]
            told["request_counts"]["total"] = total

    def _write(self, batch):
        """Write the output and the error file; their lines come in any order."""
        outputs, errors = [], []
        for key, body in batch["bodies"].items():
            said = self.answer(body)
            head = {"id": f"batch_req_{key}", "custom_id": key, "response": None, "error": None}
            if said == "missing":
                continue
            if said in ("expired", "cancelled"):
                if batch["end"] == "cancelled":
                    continue  # of those OpenAI says nothing
                told = {"code": f"batch_{said}", "message": "This request could not be executed."}
                errors.append({**head, "error": told})
            elif isinstance(said, tuple):
                _, status, message = said
                body = self.error("invalid_request_error", message)
                answer = {"status_code": status, "request_id": "r", "body": body}
                errors.append({**head, "response": answer})
            else:
                answer = {"status_code": 200, "request_id": "r", "body": _completion(key, said)}
                outputs.append({**head, "response": answer})
        for name, lines in (("output", outputs), ("error", errors)):
            if lines:
                random.shuffle(lines)
                made = f"file-{name}-{batch['told']['id']}"
                self.files[made] = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
                batch["told"][f"{name}_file_id"] = made
        counts = batch["told"]["request_counts"]
        counts |= {"completed": len(outputs), "failed": len(errors)}

    def _anthropic(self, method, parts, query, body):
        if method == "POST" and not parts:
            if len(body) > self.size:
                return 413, self.error("request_too_large", "too large")
            requests = json.loads(body)["requests"]
            if len(requests) > self.rows:
                return self.bad("requests: too many")
            for each in requests:
                assert {"model", "max_tokens", "messages"} <= each["params"].keys()
                assert "stream" not in each["params"]
            name = f"msgbatch_{len(self.batches)}"
            counts = dict.fromkeys(["succeeded", "errored", "canceled", "expired"], 0)
            told = {
                "id": name,
                "type": "message_batch",
                "processing_status": "in_progress",
                "request_counts": {"processing": len(requests), **counts},
                "created_at": "2024-09-24T18:37:24.100435Z",
                "results_url": None,
            }
            bodies = {each["custom_id"]: each["params"] for each in requests}
            self._add(told, bodies, len(requests))
            return 200, told
        if not parts:
            for each in self.batches:
                self._go_on(each)
            return self._listed(query, "after_id")
        batch = next((each for each in self.batches if each["told"]["id"] == parts[0]), None)
        if batch is None:
            return 404, self.error("not_found_error", f"no batch {parts[0]}")
        told = batch["told"]
        if parts[1:] == ["cancel"]:
            told["processing_status"], batch["end"] = "canceling", "cancelled"
        elif parts[1:] == ["results"]:
            if told["processing_status"] != "ended":
                return 404, self.error("not_found_error", "no results yet")
            return 200, self._results(batch)
        else:
            self._go_on(batch)
        return 200, told

    def _go_on(self, batch):
        told = batch["told"]
        if batch["end"] == "never" or told["processing_status"] == "ended":
            return
        batch["seen"] = batch.get("seen", 0) + 1
        if batch["seen"] > 1 or told["processing_status"] == "canceling":
            told["processing_status"] = "ended"
            told["results_url"] = "http://127.0.0.1:1/elsewhere"
            counts = told["request_counts"]
            counts |= {"processing": 0, "succeeded": len(batch["bodies"])}

    def _results(self, batch):
        lines = []
        for key, body in batch["bodies"].items():
            said = self.answer(body)
            if said in ("expired", "cancelled"):
                result = {"type": "canceled" if said == "cancelled" else said}
            elif isinstance(said, tuple):
                kind = "invalid_request_error" if said[1] == 400 else "api_error"
                result = {"type": "errored", "error": self.error(kind, said[2])}
            else:
                message = {
                    "id": f"msg_{key}",
                    "type": "message",
                    "role": "assistant",
                    "model": "some-model",
                    "content": [{"type": "text", "text": said}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {"input_tokens": 10, "output_tokens": 2},
                }
                result = {"type": "succeeded", "message": message}
            if said != "missing":
                lines.append({"custom_id": key, "result": result})
        random.shuffle(lines)
        return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def _completion(key, said):
    if isinstance(said, dict):
        return said
    return {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": 1711471533,
        "model": "some-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def log_message(self, *_):
        pass

    def _any(self):
        provider = self.provider
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        if parts.path == "/control":
            told = json.loads(body)
            if "kill" in told:
                provider.kill, provider.requests = told["kill"], []
            return self._send(200, {"asked": provider.asked(), "requests": provider.requests})
        with provider._lock:
            number = len(provider.requests)
            provider.requests.append(f"{self.command} {parts.path}")
            fault = provider.faults.get(number)
            if provider.kill and provider.kill[1] == number:
                fault = provider.kill[2]
            if fault == "lost":
                return self._cut(provider)
            if isinstance(fault, int):
                return self._send(fault, provider.error("error", "try again"), after="0")
            query = {name: each[0] for name, each in parse_qs(parts.query).items()}
            try:
                status, told = provider.handle(self.command, parts.path, query, self.headers, body)
            except AssertionError as error:
                status, told = 400, provider.error("invalid_request_error", f"bad: {error!r}")
            if fault == "cut":
                return self._cut(provider)
        return self._send(status, told)

    def _cut(self, provider):
        if provider.kill:
            os.kill(provider.kill[0], signal.SIGKILL)
            provider.kill = None
        self.close_connection = True

    def _send(self, status, told, after=None):
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if after:
            self.send_header("retry-after", after)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _any  # noqa: N815  http.server's names
