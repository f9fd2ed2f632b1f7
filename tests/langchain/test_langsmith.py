"""What LangSmith is told of a call: its own client, against a server that keeps what it is sent."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers import LangChainTracer
from langsmith import Client, tracing_context

from chatwright import Finish, Usage, chat_model
from waiting import soon


@chat_model
def words(messages):
    yield "It "
    yield "rains."
    yield Usage(12, 5, input_token_details={"cache_read": 4})
    yield Finish("stop")


class Kept(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.kept.append((self.command, self.path, json.loads(body or b"{}")))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_PATCH(self):
        self.do_POST()

    def log_message(self, *args):
        pass


class LangSmith:
    """LangSmith on loopback: the runs by their ids, as they are at last."""

    def __init__(self, server):
        self._server = server
        url = f"http://127.0.0.1:{server.server_port}"
        self.client = Client(
            url, api_key="lsv2-secret", auto_batch_tracing=False, info={}, hide_metadata=False
        )
        self.tracer = LangChainTracer(client=self.client)

    @property
    def runs(self):
        runs = {}
        for method, path, body in [*self._server.kept]:
            if path.startswith("/runs"):
                number = body.get("id") or path.rpartition("/")[2]
                run = runs.setdefault(number, {"methods": []})
                run["methods"].append(method)
                run |= {key: each for key, each in body.items() if each is not None}
        return [*runs.values()]

    @property
    def run(self):
        """The one run, once it has ended."""
        assert soon(lambda: self.runs and "PATCH" in self.runs[0]["methods"], 10)
        (run,) = self.runs
        return run


@pytest.fixture
def langsmith(monkeypatch):
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kept)
    server.kept = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield LangSmith(server)
    server.shutdown()
    server.server_close()
    thread.join()


async def _drained(stream):
    return [each async for each in stream]


WAYS = {
    "invoke": lambda model, config: model.invoke("Hi", config, stop=["\n\n"]),
    "stream": lambda model, config: [*model.stream("Hi", config, stop=["\n\n"])],
    "ainvoke": lambda model, config: asyncio.run(model.ainvoke("Hi", config, stop=["\n\n"])),
    "astream": lambda model, config: asyncio.run(
        _drained(model.astream("Hi", config, stop=["\n\n"]))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_langsmith_is_told_of_the_model_its_parameters_and_its_tokens(langsmith, way):
    model = words.model_copy(update={"temperature": 0.5, "api_key": None})
    WAYS[way](model.bind(max_tokens=9), {"callbacks": [langsmith.tracer]})
    run = langsmith.run
    assert run["run_type"] == "llm"
    assert sorted(run["methods"]) == ["PATCH", "POST"]
    told = run["extra"]["metadata"]
    assert {name: each for name, each in told.items() if name.startswith("ls_")}.items() >= {
        "ls_provider": "chatwright",
        "ls_model_name": "words",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["\n\n"],
    }.items()
    usage = {
        "input_tokens": 12,
        "output_tokens": 5,
        "total_tokens": 17,
        "input_token_details": {"cache_read": 4},
    }
    assert told["usage_metadata"] == usage
    message = run["outputs"]["generations"][0][0]["message"]["kwargs"]
    assert message["usage_metadata"] == usage
    assert message["content"] == "It rains."
    first = [each for each in run.get("events", ()) if each["name"] == "new_token"]
    assert bool(first) == (way in {"stream", "astream"})
    assert "lsv2-secret" not in json.dumps(run)


@pytest.mark.parametrize("way", WAYS)
def test_langsmith_that_the_environment_asks_for_is_told_likewise(langsmith, way):
    with tracing_context(enabled=True, client=langsmith.client):
        WAYS[way](words, None)
    told = langsmith.run["extra"]["metadata"]
    assert (told["ls_provider"], told["ls_model_name"]) == ("chatwright", "words")
    assert told["usage_metadata"]["total_tokens"] == 17


@pytest.mark.parametrize("way", WAYS)
def test_one_call_after_another_is_no_child_of_it(langsmith, way):
    for _ in range(2):
        WAYS[way](words, {"callbacks": [langsmith.tracer]})
        assert var_child_runnable_config.get() is None
    assert soon(lambda: len(langsmith.runs) == 2, 10)
    assert [each.get("parent_run_id") for each in langsmith.runs] == [None, None]


def test_langsmith_and_opentelemetry_are_told_both(langsmith, recorded):
    words.invoke("Hi", {"callbacks": [langsmith.tracer]})
    assert langsmith.run
    assert recorded.span.name == "chat words"
