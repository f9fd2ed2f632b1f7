"""Models that are served on a Ray cluster in tests, and the server as a process."""

import asyncio
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2

from chatwright import RateLimitError, Scale, chat_model, create_app, serve_on_ray
from chatwright.run.serve.server import run
from run.on_ray import environment


@chat_model
async def scripted(messages):
    """Does what its prompt tells, step by step: says a word, or waits for a file to be there.

    What waits for a file has said so by one beside it, whose name has the number of its process.
    """
    for step in json.loads(messages[-1].text):
        if step.startswith("/"):
            Path(f"{step}.{os.getpid()}.{os.urandom(4).hex()}.at").touch()
            while not Path(step).exists():
                await asyncio.sleep(0.01)
        elif step == "fail":
            error = RateLimitError("slower, please")
            error.retry_after = 7
            raise error
        elif step == "pid":
            yield str(os.getpid())
        else:
            yield step


@chat_model
def pid(messages):
    """Tells by which process it answers, and how many messages it was given."""
    return f"{os.getpid()} {len(messages)}"


def broken(messages):
    raise AssertionError("it is never called")


broken = chat_model(broken).model_copy(update={"custom_get_token_ids": lambda text: 1 // 0})
"""A model that fails when it is made ready."""


class Server:
    """A server that runs in a process of its own, and what it has told."""

    def __init__(self, process, heard):
        self.process = process
        self.told = []
        self.url = None
        self.model = "scripted"
        for line in process.stderr:
            self.told.append(line)
            heard(line)
            if found := re.search(r"OpenAI +(http://\S+)/v1", line):
                self.url = found[1]
                break
        self._rest = threading.Thread(target=self._read, daemon=True)
        self._rest.start()

    def _read(self):
        self.told.extend(self.process.stderr)

    @property
    def _place(self):
        return f"{self.url}/v1/chat/completions"

    def _body(self, content, *, model, **more):
        messages = [{"role": "user", "content": content}]
        return {"model": model or self.model, "messages": messages, **more}

    def ask(self, content, *, model=None, wait=60, **more):
        headers = more.pop("headers", {})
        body = {
            "model": model or self.model,
            "messages": [{"role": "user", "content": content}],
            **more,
        }
        url = f"{self.url}/v1/chat/completions"
        return httpx2.post(url, json=body, headers=headers, timeout=wait)

    def says(self, content, **more):
        return self.ask(content, **more).json()["choices"][0]["message"]["content"]

    @contextlib.contextmanager
    def stream(self, content, *, model=None, **more):
        """Yield the events of a stream, as they come."""
        body = {
            "model": model or self.model,
            "messages": [{"role": "user", "content": content}],
            **more,
        }
        url = f"{self.url}/v1/chat/completions"
        body["stream"] = True
        with httpx2.stream("POST", url, json=body, timeout=60) as answer:
            yield (each[6:] for each in answer.iter_lines() if each.startswith("data: "))

    def end(self):
        """End it; return its exit code, and wait until all that it has told is here."""
        self.process.terminate()
        code = self.process.wait(60)
        self._rest.join(60)
        return code


@contextlib.contextmanager
def started(*arguments, heard=lambda line: None):
    """Run Python with arguments, which serve, and yield the server.

    What it tells until then is heard line by line.
    """
    with subprocess.Popen(
        [sys.executable, *arguments], stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        server = Server(process, heard)
        try:
            assert server.url, "".join(server.told)
            yield server
        finally:
            server.end()


def running(*arguments):
    """Run `chatwright serve … --engine ray`, and yield the server."""
    return started("-m", "chatwright", "serve", "--engine", "ray", "--port", "0", *arguments)


def text_of(events):
    """Return the text of a stream's events, the error that ended it, and whether it has ended."""
    text, error, ended = "", None, False
    for event in events:
        if event == "[DONE]":
            ended = True
            continue
        told = json.loads(event)
        error = error or told.get("error")
        for choice in told.get("choices", ()):
            text += choice["delta"].get("content") or ""
    return text, error, ended


def main(address, **fields):
    """Serve the first model in replicas that scale within seconds."""
    logging.basicConfig(level=logging.WARNING)
    listener = socket.create_server(("127.0.0.1", 0))
    named = {"scripted": "run.serve.on_ray:scripted"}
    with serve_on_ray(named, Scale(**fields), address=address) as models:
        app = create_app(models)
        print(f"OpenAI http://127.0.0.1:{listener.getsockname()[1]}/v1", file=sys.stderr)
        run(app, listener, drain_seconds=1, on_hangup=None)


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
