"""A server on loopback, in this process, as `chatwright serve` runs it."""

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path

import httpx2
import pytest

from chatwright import Finish, Reasoning, ToolCallDelta, Usage, chat_model, create_app
from chatwright.run.serve.server import in_background
from chatwright.wires.openai import completions
from chatwright.wires.openai import server as openai
from chatwright.wires.responses import server as responses
from run.serve.schemas import valid


class Serving:
    """A server that runs, and its address."""

    def __init__(self, url):
        self.url = url
        self.client = httpx2.Client(base_url=url, timeout=30)

    def post(self, path, **body):
        return self.client.post(path, json={"model": "m", **body})

    def ask(self, **body):
        """Ask for a chat completion."""
        body = {"messages": [{"role": "user", "content": "hi"}], **body}
        return self.post("/v1/chat/completions", **body)


@pytest.fixture
def serving():
    """Return a function that serves models, and returns the server; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def serve(model=None, /, host="127.0.0.1", **options):
            models = model if isinstance(model, dict) else {"m": model or chatty()}
            listener = socket.create_server((host, 0), backlog=2048)
            stack.enter_context(in_background(create_app(models, **options), listener))
            made = Serving(f"http://{host}:{listener.getsockname()[1]}")
            stack.callback(made.client.close)
            return made

        yield serve


BROWSER = ("test_page", "test_inspector_page")
QUICK = {
    "test_the_first_token_shows_before_the_answer_ends",
    "test_stop_stops_the_source",
    "test_a_hostile_answer_runs_nothing",
    "test_parallel_calls_are_answered_by_hand_before_it_goes_on",
    "test_what_is_exported_can_be_imported",
    "test_a_system_prompt_is_there_as_in_chat_and_can_be_taken_away",
    "test_what_is_set_is_sent",
    "test_what_it_counts_is_what_the_stream_told",
}
"""What `make test` tries in a browser; the rest is in the long suite."""


def pytest_collection_modifyitems(items):
    for item in items:
        is_here = item.path.parent == Path(__file__).parent
        if is_here and item.path.name.startswith(BROWSER) and item.originalname not in QUICK:
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def as_openai_has_it(monkeypatch):
    """Hold every body and event of OpenAI's wires against OpenAI's own document."""
    kinds = {
        "chat.completion": "CreateChatCompletionResponse",
        "chat.completion.chunk": "CreateChatCompletionStreamResponse",
        "text_completion": "CreateCompletionResponse",
        "response": "Response",
    }

    def name(payload):
        if "error" in payload and "object" not in payload:
            return "ErrorResponse"
        return kinds.get(payload.get("object"), "ResponseStreamEvent")

    def held(payload):
        return valid(payload, name(payload), "OpenAI")

    for writer in (openai.Writer, completions._Writer, responses.Writer):
        if "encode" in vars(writer):
            encode = writer.encode
            monkeypatch.setattr(
                writer, "encode", staticmethod(lambda each, encode=encode: encode(held(each)))
            )
        whole = vars(writer)["whole"]
        monkeypatch.setattr(writer, "whole", lambda self, whole=whole: held(whole(self)))


def chatty():
    """Return a model that thinks, speaks, calls a tool it is given, and tells its tokens."""

    async def source(request, temperature: float = 0.0):
        if request.response_format:
            yield '{"city": "Zürich"}'
        elif request.tools and request.messages[-1].type != "tool":
            yield ToolCallDelta(0, "call_1", request.tools[0]["function"]["name"], '{"city": ')
            yield ToolCallDelta(0, args='"Zürich"}')
        else:
            yield Reasoning("Hm. ")
            for word in ("The ", "cat ", "sät ", "on ", "東京."):
                yield word
        yield Usage(7, 5)
        yield Finish("stop")

    from chatwright import Capabilities, ChatModel

    class Chatty(ChatModel):
        def reply(self, request):
            return source(request)

        def capabilities(self):
            return Capabilities(tools=True, tool_choice=True, response_format=True)

    return Chatty(model_name="chatty")


def eventually(holds, seconds=20):
    """Wait until something holds."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


class Endless:
    """A model that says one word a tick, and knows when it is closed."""

    def __init__(self, first_after=0.0, tick=0.01):
        self.started, self.closed = threading.Event(), threading.Event()
        self.count = 0

        @chat_model
        async def endless(messages):
            self.started.set()
            try:
                await asyncio.sleep(first_after)
                while True:
                    self.count += 1
                    yield f"word{self.count} "
                    await asyncio.sleep(tick)
            finally:
                self.closed.set()

        self.model = endless
