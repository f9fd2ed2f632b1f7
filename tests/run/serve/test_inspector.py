"""What the page asks of the server: models, events of answers, requests, checks; and its files."""

import asyncio
import functools
import gzip
import json
import threading
from pathlib import Path

import httpx2
import psutil
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr

from chatwright import ChatEndpoint, Price, Reasoning, Refusal, Usage, chat_model
from chatwright.checks import rulebook
from chatwright.cli.checked import checked
from chatwright.run.serve import page
from chatwright.run.serve.keys import add_key
from chatwright.run.serve.limits import Limits
from chatwright.run.serve.shown import shown, shown_data
from chatwright.testing import Upstream

from .conftest import Endless, chatty, eventually

PAGE = Path(page.__file__).with_name("page")
HELLO = [{"role": "user", "content": "hi"}]


def told(answer):
    """Return the objects of a stream, and its comments."""
    assert answer.headers["content-type"] == "text/event-stream"
    blocks = [each for each in answer.text.split("\n\n") if each]
    data = [each.removeprefix("data: ") for each in blocks if each.startswith("data: ")]
    assert len(data) + sum(each.startswith(":") for each in blocks) == len(blocks)
    return [json.loads(each) for each in data]


def ask(server, **body):
    answer = server.post("/inspector/answer", **{"messages": HELLO, **body})
    assert answer.status_code == 200, answer.text
    return told(answer)


def events(objects, name=None):
    found = [each for each in objects if each["type"] == "event"]
    return [each for each in found if name in (None, each["event"])]


def pieces(objects):
    own = [e for e in events(objects, "on_chat_model_stream") if e["parent_ids"] == []]
    return [each["data"]["chunk"] for each in own]


def weather_agent():
    @tool
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"sunny in {city}"

    return create_agent(chatty(), [weather])


class TestEvents:
    async def test_they_are_langchains_own_in_their_order(self, serving):
        got = ask(serving())
        own = [e async for e in chatty().astream_events([("user", "hi")], version="v2")]
        assert [e["event"] for e in events(got)] == [e["event"] for e in own]
        assert "".join(each["text"] for each in pieces(got)) == "The cat sät on 東京."
        assert "".join(each["reasoning"] for each in pieces(got)) == "Hm. "
        (spent,) = [each["usage"] for each in pieces(got) if each["usage"]]
        assert spent == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        (end,) = events(got, "on_chat_model_end")
        assert end["data"]["output"]["text"] == "The cat sät on 東京."
        assert end["data"]["output"]["response_metadata"]["finish_reason"] == "stop"
        assert len({e["run_id"] for e in events(got)}) == 1
        assert got[-1]["type"] == "done"
        times = [each["at"] for each in got]
        assert times == sorted(times) and times[0] > 0

    def test_pieces_of_calls(self, serving):
        function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
        got = ask(serving(), tools=[{"type": "function", "function": function}])
        calls = [call for each in pieces(got) for call in each["tool_call_chunks"]]
        assert calls[0] | {"args": ""} == {
            "index": calls[0]["index"],
            "id": "call_1",
            "name": "weather",
            "args": "",
        }
        assert json.loads("".join(each["args"] for each in calls)) == {"city": "Zürich"}
        (end,) = events(got, "on_chat_model_end")
        call = {"id": "call_1", "name": "weather", "args": {"city": "Zürich"}}
        assert end["data"]["output"]["tool_calls"] == [call]

    def test_the_runs_inside_an_agent_are_a_tree(self, serving):
        got = ask(serving(weather_agent()))
        starts = {e["run_id"]: e for e in events(got) if e["event"].endswith("_start")}
        parents = {e["name"]: e["parent_ids"] for e in starts.values()}
        (asked,) = [e for e in starts.values() if not e["parent_ids"]]
        assert asked["event"] == "on_chat_model_start" and got[0] is asked
        for each in starts.values():
            for n, parent in enumerate(each["parent_ids"]):
                assert starts[parent]["parent_ids"] == each["parent_ids"][:n]
        assert [starts[each]["name"] for each in parents["weather"][1:]] == ["LangGraph", "tools"]
        (began,) = events(got, "on_tool_start")
        assert began["data"]["input"] == {"city": "Zürich"}
        (ended,) = events(got, "on_tool_end")
        assert ended["data"]["output"]["content"] == "sunny in Zürich"
        assert {e["run_id"] for e in events(got) if e["event"].endswith("_end")} == {*starts}
        assert "".join(each["text"] for each in pieces(got)) == "The cat sät on 東京."

    def test_an_answer_that_is_not_streamed_is_in_its_end(self, serving):
        got = ask(serving(chatty().model_copy(update={"disable_streaming": True})))
        assert pieces(got) == []
        assert events(got)[-1]["data"]["output"]["text"] == "The cat sät on 東京."

    def test_a_refusal_is_text_to_show(self, serving):
        got = ask(serving(chat_model(lambda messages: iter([Refusal("I won't.")]))))
        assert "".join(each["text"] for each in pieces(got)) == "I won't."

    def test_a_refusal_beside_the_content_is_told_too(self):
        refused = AIMessage("", additional_kwargs={"refusal": "I won't."})
        told = shown_data("on_chat_model_end", {"output": refused})
        assert told["output"]["text"] == "I won't."

    def test_parameters_and_stop_sequences_hold_as_on_the_other_paths(self, serving, caplog):
        @chat_model
        def warm(messages, temperature=None):
            yield f"{temperature} "
            yield "one STOP two"

        caplog.set_level("INFO", "chatwright.serve")
        got = ask(serving(warm), temperature=0.25, stop=["STOP"], seed=3, nonsense=1)
        assert "".join(each["text"] for each in pieces(got)) == "0.25 one "
        assert "without effect in" in caplog.text and "nonsense" in caplog.text

    def test_the_cost_where_it_is_known(self, serving):
        @chat_model
        def spends(messages):
            yield "x"
            yield Usage(1_000_000, 2_000_000)

        def priced(price):
            return spends.model_copy(update={"price": price})

        models = {"dear": priced(Price(3, 15)), "euro": priced(Price(1, 1, "EUR")), "free": spends}
        server = serving(models)
        assert ask(server, model="dear")[-2] | {"at": 0} == {"type": "cost", "usd": 33.0, "at": 0}
        for name in ("euro", "free"):
            assert "cost" not in {each["type"] for each in ask(server, model=name)}

    def test_a_failure_in_the_middle(self, serving):
        @chat_model
        def breaks(messages):
            yield "begun "
            raise RuntimeError("the password is sesame")

        got = ask(serving(breaks))
        assert "".join(each["text"] for each in pieces(got)) == "begun "
        *_, error, done = got
        assert (error["type"], error["status"], done["type"]) == ("error", 500, "done")
        assert "RuntimeError" in error["message"] and error["at"] > 0
        assert "sesame" not in json.dumps(got) and "Traceback" not in json.dumps(got)

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ({"model": "other"}, 404, "'other'"),
            ({"n": 2}, 400, "n: "),
            ({"stream": False}, 400, "stream: "),
            ({"messages": []}, 400, "messages"),
            ({"messages": HELLO * 4}, 400, "messages: 3 are the limit"),
            ({"logprobs": True}, 400, "logprobs"),
        ],
    )
    def test_what_is_refused_is_so_before_it_begins(self, serving, body, status, words):
        server = serving(limits=Limits(messages=3))
        for path in ("/inspector/answer", "/inspector/explain"):
            refused = server.post(path, **{"messages": HELLO, **body})
            assert refused.status_code == status
            assert words in refused.json()["error"]["message"]

    def test_a_full_queue_is_shared_with_the_other_paths(self, serving):
        endless = Endless()
        server = serving(endless.model, limits=Limits(concurrency=1, queue=0))
        with started(server) as pieces_of_it:
            next(pieces_of_it)
            assert server.post("/inspector/answer", messages=HELLO).status_code == 429
            assert server.ask().status_code == 429

    def test_a_client_that_leaves_ends_the_generation(self, serving):
        """The source says a word each 10 ms: it is closed before it has said another 25."""
        endless = Endless(tick=0.01)
        server = serving(endless.model)
        with started(server) as pieces_of_it:
            while endless.count < 3:
                next(pieces_of_it)
        said = endless.count
        assert endless.closed.wait(20)
        assert endless.count - said <= 25

    def test_heartbeats_until_the_first_token_though_events_have_come(self, serving):
        server = serving(Endless(first_after=0.5).model, limits=Limits(heartbeat=0.05))
        got = b""
        with started(server) as pieces_of_it:
            while b"word2" not in got:
                got += next(pieces_of_it)
        before, _, after = got.partition(b"word1")
        assert b"on_chat_model_start" in before
        assert before.partition(b"on_chat_model_start")[2].count(b": wait") > 2
        assert b": wait" not in after

    def test_they_are_measured_as_other_answers_are(self, serving):
        server = serving()
        ask(server)
        shown_too = server.client.get("/metrics").text
        labels = 'gen_ai_operation_name="chat",gen_ai_request_model="m"'
        assert f'chatwright_requests_total{{{labels},outcome="ok"}} 1.0' in shown_too
        assert f"time_to_first_token_seconds_count{{{labels}}} 1.0" in shown_too
        spent = f'token_usage_sum{{{labels.replace(",gen", ",gen", 1)},gen_ai_token_type="output"}}'
        assert f"{spent} 5.0" in shown_too


def started(server, path="/inspector/answer"):
    """Ask, and return a context with the pieces; leaving it is going away."""

    class Asked:
        def __enter__(self):
            self.client = httpx2.Client(base_url=server.url, timeout=30)
            body = {"model": "m", "messages": HELLO}
            self.answer = self.client.stream("POST", path, json=body)
            return self.answer.__enter__().iter_bytes()

        def __exit__(self, *error):
            self.answer.__exit__(*error)
            self.client.close()

    return Asked()


class TestSecrets:
    SECRET = "sk-canary-7731"

    def test_a_models_key_is_in_nothing_that_is_told(self, serving):
        with Upstream(["hello"]) as upstream:
            url = f"{upstream.url}/v1"
            headers = {"X-Team": f"team-{self.SECRET}"}
            inner = ChatEndpoint(url, model="x", api_key=self.SECRET, headers=headers)
            server = serving({"m": inner, "agent": create_agent(inner, [])})
            for name in ("m", "agent"):
                answer = server.post("/inspector/answer", model=name, messages=HELLO)
                assert "hello" in answer.text and self.SECRET not in answer.text
            assert upstream.requests[0].headers["authorization"].endswith(self.SECRET)
            assert self.SECRET not in server.client.get("/inspector/models").text

    def test_the_request_is_exact_and_masked_and_nothing_is_sent(self, serving):
        with Upstream(["hello"]) as upstream:
            model = ChatEndpoint(f"{upstream.url}/v1", model="x", api_key=self.SECRET)
            explained = serving(model).post("/inspector/explain", messages=HELLO, temperature=0.5)
            request = explained.json()["request"]
            assert request["body"]["messages"] == HELLO
            assert request["body"]["temperature"] == 0.5
            assert self.SECRET not in explained.text
            assert not upstream.requests

    def test_objects_are_told_by_their_kind_only(self):
        class Settings(BaseModel):
            key: SecretStr
            city: str

        class Client:
            def __repr__(self):
                return "Client(key='sesame')"

        value = {
            "settings": Settings(key="sesame", city="Bern"),
            "client": Client(),
            "model": chatty(),
            "deep": functools.reduce(lambda inner, _: [inner], range(99), "sesame"),
            "odd": [float("nan"), float("inf"), {1}, b"sesame"],
        }
        told = shown(value)
        assert "sesame" not in json.dumps(told, allow_nan=False)
        assert told["settings"] == {"key": "***", "city": "Bern"}
        assert (told["client"], told["model"]) == ("<Client>", "<Chatty>")

    def test_a_long_text_says_what_is_left_out(self):
        told = shown({"content": "x" * 20_000})["content"]
        assert told.startswith("xxx") and told.endswith("… (3616 more characters)")

    def test_messages_are_told_with_what_they_hold(self):
        call = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
        content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "yes"}]
        told = shown([AIMessage(content, tool_calls=[call])])[0]
        assert told["reasoning"] == "hm"
        assert told["tool_calls"] == [{"id": "c1", "name": "f", "args": {"a": 1}}]


def test_the_models_are_listed(serving):
    server = serving({"m": chatty(), "agent": weather_agent()}, checks={"m": finding_out})
    plain, agent = server.client.get("/inspector/models").json()["models"]
    assert (plain["name"], plain["class"], plain["inputs"]) == ("m", "Chatty", ["text"])
    assert plain["parameters"] == ["temperature", "top_p", "seed", "max_tokens", "stop"]
    assert plain["profile"]["text_inputs"] is True
    assert plain["tools"] is plain["structured"] is plain["checkable"] is True
    assert agent["parameters"] == ["stop"] and agent["checkable"] is False
    assert "image" in agent["inputs"]


class TestKeys:
    def test_the_page_needs_none_and_what_it_asks_does(self, serving, tmp_path):
        key = add_key(tmp_path / "keys.json", "ann")
        server = serving(api_keys=tmp_path / "keys.json")
        assert server.client.get("/").status_code != 401
        assert server.client.get("/page/inspector.js").status_code == 200
        body = {"model": "m", "messages": HELLO}
        for path in ("answer", "explain", "check"):
            refused = server.client.post(f"/inspector/{path}", json=body)
            assert refused.status_code == 401 and refused.json()["error"]["message"]
        assert server.client.get("/inspector/models").status_code == 401
        server.client.headers["Authorization"] = f"Bearer {key}"
        assert server.client.get("/inspector/models").status_code == 200
        assert ask(server)[-1]["type"] == "done"

    def test_a_keys_limits_count(self, serving, tmp_path):
        path = tmp_path / "keys.json"
        key = add_key(path, "ann")
        path.write_text(
            json.dumps({"ann": {**json.loads(path.read_text())["ann"], "per_minute": 1}})
        )
        server = serving(api_keys=path)
        server.client.headers["Authorization"] = f"Bearer {key}"
        assert ask(server)[-1]["type"] == "done"
        assert server.post("/inspector/answer", messages=HELLO).status_code == 429


class TestFiles:
    def test_nothing_foreign_may_run_in_the_page(self, serving):
        answer = serving().client.get("/page/inspector.js")
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= {*policy}
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= {*policy}
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("inspector.js", "text/javascript; charset=utf-8"),
            ("inspector.css", "text/css; charset=utf-8"),
            ("vendor/uplot/uPlot.min.css", "text/css; charset=utf-8"),
            ("vendor/uplot/LICENSE", "text/plain; charset=utf-8"),
        ],
    )
    def test_a_file_is_sent_once(self, serving, name, kind):
        client = serving().client
        first = client.get(f"/page/{name}")
        assert (first.status_code, first.headers["content-type"]) == (200, kind)
        etag = first.headers["etag"]
        again = client.get(f"/page/{name}", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        other = client.get(f"/page/{name}", headers={"If-None-Match": '"other"'})
        assert other.content == first.content
        assert client.head(f"/page/{name}").content == b""

    @pytest.mark.parametrize("name", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "no.js", ""])
    def test_no_other_file_of_the_disk_is_sent(self, serving, name):
        answer = serving().client.get(f"/page/{name}")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]

    def test_all_of_the_page_is_small(self):
        files = [each for each in PAGE.rglob("*") if each.is_file() and each.name != "LICENSE"]
        assert len(files) > 10
        assert sum(len(gzip.compress(each.read_bytes())) for each in files) <= 150_000

    def test_there_may_be_no_page(self, serving):
        server = serving(page=False)
        for path in ("/", "/page/inspector.js", "/inspector/models"):
            assert server.client.get(path).status_code == 404
        assert server.post("/inspector/answer", messages=HELLO).status_code == 404


async def finding_out():
    yield {"type": "rule", "rule": "B1"}
    yield {"type": "finding", "rule": "B1", "verdict": "PASS"}
    yield {"type": "report", "passed": 1, "tried": 1, "summary": "1 of 1 rules hold"}


class TestCheck:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "acme.toml"
        path.write_text('url = "http://127.0.0.1:9/v1"\nmodel = "tiny"\n')
        return str(path)

    def test_it_is_told_as_it_goes(self, serving):
        got = told(serving(checks={"m": finding_out}).post("/inspector/check"))
        assert [each["type"] for each in got] == ["rule", "finding", "report", "done"]
        assert got[2] | {"at": 0} == {
            "type": "report",
            "passed": 1,
            "tried": 1,
            "at": 0,
            "summary": "1 of 1 rules hold",
        }

    def test_an_endpoint_file_is_checked_with_nothing_called(self, serving, file):
        check = functools.partial(checked, file, only=("B1", "S1", "S3"))
        got = told(serving(checks={"m": check}).post("/inspector/check"))
        tried = [each["rule"] for each in got if each["type"] == "rule"]
        findings = [each for each in got if each["type"] == "finding"]
        assert tried == [each["rule"] for each in findings] == ["B1", "S1", "S3"]
        assert {each["verdict"] for each in findings} == {"PASS"}
        assert {each["layer"] for each in findings} == {"scripted"}
        *_, report, done = got
        assert (report["passed"], report["tried"], done["type"]) == (3, 3, "done")
        assert report["summary"] == "3 of 3 rules hold"

    def test_rules_of_the_served_application_itself_are_left_out(self, serving, file, monkeypatch):
        """The check's processes do not import it."""
        assert rulebook.rules()
        monkeypatch.setattr(rulebook, "_RULES", {**rulebook._RULES})  # as they were, afterwards
        rulebook.rule("ACME7", "The answer is short", fix="Say less.")(acmes_own)
        server = serving(checks={"m": functools.partial(checked, file)})
        with started(server, "/inspector/check") as pieces_of_it:
            got = b""
            while b'"finding"' not in got:
                got += next(pieces_of_it, b"") or pytest.fail(f"it has ended: {got}")

    def test_nothing_is_called_for_real(self, serving, file):
        check = functools.partial(checked, file, only=("B1",), upstream="none")
        *_, error, done = told(serving(checks={"m": check}).post("/inspector/check"))
        assert error["type"] == "error" and "called for real" in error["message"]
        assert f"chatwright check {file}" in error["message"]
        assert done["type"] == "done"

    def test_what_can_not_begin_says_why(self, serving, tmp_path):
        check = functools.partial(checked, str(tmp_path / "none.toml"))
        got = told(serving(checks={"m": check}).post("/inspector/check"))
        assert [each["type"] for each in got] == ["error", "done"]
        assert "none.toml can't be read" in got[0]["message"]

    def test_a_client_that_leaves_ends_it(self, serving):
        begun, ended = threading.Event(), threading.Event()

        async def endless():
            try:
                while True:
                    begun.set()
                    yield {"type": "rule", "rule": "B1"}
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        with started(serving(checks={"m": endless}), "/inspector/check") as pieces_of_it:
            next(pieces_of_it)
            assert begun.wait(20) and not ended.is_set()
        assert ended.wait(20)

    def test_a_client_that_leaves_ends_its_processes(self, serving, tmp_path, monkeypatch):
        """Making the model would go on for ten minutes."""
        (tmp_path / "hanging_model.py").write_text(HANGING)
        monkeypatch.syspath_prepend(tmp_path)
        check = functools.partial(checked, "hanging_model:hang")
        server = serving(checks={"m": check}, limits=Limits(heartbeat=0.05))
        self.left(server, lambda got: (tmp_path / "begun").exists())

    def test_those_beside_the_first_one_too(self, serving, file):
        """A check that is divided has begun them when the first finding comes."""
        server = serving(checks={"m": functools.partial(checked, file)})
        self.left(server, lambda got: b'"finding"' in got)

    @staticmethod
    def left(server, when):
        before = {*psutil.Process().children(recursive=True)}

        def own():
            return {*psutil.Process().children(recursive=True)} - before

        got = b""
        with started(server, "/inspector/check") as pieces_of_it:
            while not when(got):
                got += next(pieces_of_it, b"") or pytest.fail(f"it has ended: {got}")
        # multiprocessing's resource tracker stays, as long as this process does.
        eventually(lambda: not [p for p in own() if "resource_tracker" not in _command(p)])
        eventually(lambda: "chatwright-check" not in {t.name for t in threading.enumerate()})

    def test_one_at_a_time_the_others_wait(self, serving):
        running, most = [], []

        async def slow():
            running.append(1)
            most.append(len(running))
            yield {"type": "rule", "rule": "B1"}
            await asyncio.sleep(0.05)
            running.pop()

        server = serving(checks={"m": slow})
        threads = [
            threading.Thread(target=lambda: httpx2.post(f"{server.url}/inspector/check", json=BODY))
            for _ in range(3)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert most == [1, 1, 1]

    def test_a_model_that_can_not_be_checked(self, serving):
        server = serving()
        refused = server.post("/inspector/check")
        assert (
            refused.status_code == 400 and "can't be checked" in refused.json()["error"]["message"]
        )
        assert server.post("/inspector/check", model="other").status_code == 404
        assert server.client.post("/inspector/check", json={}).status_code == 400


def acmes_own(trial):
    """Answers are read on phones."""


BODY = {"model": "m"}
HANGING = """
import time
from pathlib import Path

Path(__file__).with_name("begun").touch()
time.sleep(600)
"""


def _command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "resource_tracker"  # it has ended


def test_reasoning_that_stands_beside_text_is_told(serving):
    @chat_model
    def thinks(messages):
        yield Reasoning("a")
        yield "b"

    whole = events(ask(serving(thinks)), "on_chat_model_end")[0]["data"]["output"]
    assert (whole["reasoning"], whole["text"]) == ("a", "b")
