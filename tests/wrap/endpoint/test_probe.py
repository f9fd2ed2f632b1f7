"""`probe`: against servers that are known."""

import itertools
import json

import pytest

from chatwright import (
    ChatEndpoint,
    LoadError,
    Reasoning,
    SourceConnectionError,
    ToolCallDelta,
    Usage,
    load,
)
from chatwright.testing import Bytes, Cut, Refuse, Upstream
from chatwright.wrap.endpoint.asking import BOUND
from chatwright.wrap.endpoint.probe import probe
from contract.subjects import loaded

NUMBERS = [f"{n}, " for n in range(1, 21)]


def capable(received):
    """Answer as a server that can do everything."""
    if received.path.endswith("/models"):
        models = {"data": [{"id": "able-1", "max_model_len": 8192}]}
        return [Refuse(200, body=json.dumps(models).encode())]
    if received.asked is None:
        return [Refuse(404)]
    asked, body = received.asked, received.body
    tokens = Usage(input_tokens=9 + 5 * ("image_url" in json.dumps(body)), output_tokens=4)
    if asked.tools and asked.tool_choice != "none":
        return [tokens, ToolCallDelta(0, "c1", "report_quokka", '{"count": 3}')]
    if asked.schema:
        return [tokens, json.dumps({"quokka": "q7"})]
    words = NUMBERS[: 2 if body.get("max_completion_tokens", 99) < 17 else 20]
    for stop in asked.stop:
        text = "".join(words)
        if stop in text:
            words = [text[: text.index(stop) + len(stop)]]
    return [tokens, Reasoning("let me count "), *words]


def minimal(received):
    """Answer as a server that streams nothing, and refuses what is not plain."""
    if received.asked is None:
        return [Refuse(404)]
    body = received.body
    odd = {"tools", "response_format", "stream_options", "max_tokens_"} & body.keys()
    roles = [role for role, _ in received.asked.messages]
    if len(body.get("stop") or ()) > 1 or any("name" in each for each in body["messages"]):
        return [Refuse(422, "one stop sequence, and no names")]
    if odd or body.get("stream") or "developer" in roles or roles.count("system") > 1:
        return [Refuse(400, f"unknown: {sorted(odd)}")]
    if any(a == b for a, b in itertools.pairwise(roles)):
        return [Refuse(400, "roles must alternate")]
    text = "".join(NUMBERS[: 2 if body.get("max_tokens", 99) < 17 else 20])
    for stop in body.get("stop") or ():
        text = text.split(stop)[0]
    return [text]


def values(findings):
    return {name: value for name, value, _ in findings.found}


async def test_a_server_that_can_do_everything():
    with Upstream(capable) as server:
        findings = await probe(server.url)
    assert findings.url == server.url
    assert findings.model == "able-1"
    assert findings.requests <= BOUND
    found = values(findings)
    assert found == {
        "context_tokens": 8192,
        "stream": True,
        "stream_usage": True,
        "ends": True,
        "max_tokens": "max_completion_tokens",
        "stop": "kept",
        "max_stops": 5,
        "tools": True,
        "call_ids": ".{1,40}",
        "names": frozenset({"assistant", "user"}),
        "tool_choice": frozenset({"auto", "none", "required", "function"}),
        "response_format": "json_schema",
        "tools_with_format": True,
        "system": "keep",
        "merge": False,
        "developer": "developer",
        "reasoning": "reasoning_content",
        "inputs": frozenset({"image"}),
    }
    assert all(evidence for _, _, evidence in findings.found)


async def test_a_server_that_can_do_little(tmp_path):
    with Upstream(minimal) as server:
        findings = await probe(f"{server.url}/v1", model="m")
        found = values(findings)
        assert found == {
            "context_tokens": None,
            "stream": False,
            "max_tokens": "max_tokens",
            "stop": "dropped",
            "max_stops": 1,
            "tools": False,
            "names": frozenset(),
            "response_format": "none",
            "system": "first",
            "merge": True,
            "developer": "system",
            "reasoning": None,
            "inputs": None,
        }
        path = tmp_path / "found.toml"
        path.write_text(findings.as_toml())
        model = load(str(path))
        assert isinstance(model, ChatEndpoint)
        talk = [("system", "a"), ("human", "b"), ("system", "c"), ("human", "d")]
        assert model.invoke(talk).text.startswith("1, 2")


async def test_ids_as_mistral_wants_them_are_found():
    def script(received):
        if received.asked is not None:
            results = [each.get("tool_call_id", "012345678") for each in received.body["messages"]]
            if any(len(each) != 9 for each in results):
                return [Refuse(400, "tool call id has to be nine letters and digits")]
        return capable(received)

    with Upstream(script) as server:
        assert values(await probe(server.url))["call_ids"] == "[A-Za-z0-9]{9}"


async def test_a_server_that_refuses_stop_sequences_gets_none_from_its_file(tmp_path):
    def script(received):
        if received.asked is not None and received.asked.stop:
            return [Refuse(400, "'stop' is not supported")]
        return minimal(received)

    with Upstream(script) as server:
        path = tmp_path / "found.toml"
        path.write_text((await probe(f"{server.url}/v1", model="m")).as_toml())
        model = load(str(path), include_stop=False)
        assert model.invoke("Count.", stop=["7"]).text.endswith("6, ")


@pytest.mark.parametrize("wire", ["ollama", "anthropic", "responses"])
async def test_the_other_wires_are_probed_too(wire):
    def script(received):
        if received.asked is None:
            return [Refuse(404)]
        return capable(received)

    with Upstream(script) as server:
        findings = await probe(server.url, model="m", wire=wire)
    found = values(findings)
    assert found["stream"] is True
    assert found["tools"] is True


async def test_a_server_of_reasoning_models_is_probed_with_what_it_takes(tmp_path):
    def strict(received):
        if received.asked is None:
            return [Refuse(404)]
        if {"max_tokens", "temperature"} & received.body.keys():
            return [Refuse(400, "Unsupported parameter \x1b[31m for key sk-canary-12")]
        return capable(received)

    with Upstream(strict) as server:
        findings = await probe(f"{server.url}/v1?api-version=7", model="m", api_key="sk-canary-12")
        found = values(findings)
        assert found["max_tokens"] == "max_completion_tokens"
        assert found["parameters"] == {"temperature": ""}
        text = findings.as_toml()
        assert "sk-canary" not in text
        assert "query.api-version" in text
        path = tmp_path / "strict.toml"
        path.write_text(text)
        assert load(str(path), temperature=0.3).invoke("x").text.startswith("1, 2")


async def test_what_does_not_answer_is_an_error():
    with (
        Upstream([Refuse(404, "nobody here")]) as server,
        pytest.raises(LoadError, match=r"does not answer a plain question.*nobody here"),
    ):
        await probe(server.url)
    with pytest.raises(SourceConnectionError):
        await probe("http://127.0.0.1:9/v1")


async def test_a_server_that_never_marks_its_end_is_told():
    def script(received):
        if received.asked is None:
            return [Refuse(404)]
        if not received.asked.stream:
            return NUMBERS
        events = [{"choices": [{"delta": {"content": each}}]} for each in NUMBERS]
        raw = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events)
        return [Bytes(raw), Cut(politely=True)]

    with Upstream(script) as server:
        findings = await probe(f"{server.url}/v1", model="m")
        model = ChatEndpoint(base_url=findings.url, model="m", quirks=findings.quirks)
        assert model.invoke("x").text.startswith("1, 2")
    assert values(findings)["ends"] is False


# llama.cpp's own server, with SmolLM2.


async def test_llama_cpps_server_is_probed_and_talked_with(tmp_path):
    engine = loaded().engine
    findings = await probe(f"{engine.address}/v1", model="smollm2", api_key=engine._key)
    found = values(findings)
    assert found["stream"] is True
    assert found["stream_usage"] is True
    assert found["tools"] is False  # its template knows none, and llama.cpp says nothing of it
    assert found["response_format"] == "json_schema"
    assert found["max_tokens"] == "max_tokens"
    assert found["inputs"] == frozenset()
    assert found["context_tokens"] == 1024
    path = tmp_path / "smollm2.toml"
    path.write_text(findings.as_toml())
    model = load(str(path), api_key=engine._key, temperature=0, max_tokens=24)
    talk = [("system", "You are a helpful assistant."), ("human", "What is the capital of France?")]
    answer = model.invoke(talk)
    assert "Paris" in answer.text
    assert answer.usage_metadata["output_tokens"] > 0
    assert "".join([each.text async for each in model.astream(talk)]) == answer.text
    schema = {
        "title": "city",
        "type": "object",
        "properties": {"population": {"type": "integer"}, "name": {"enum": ["Bern", "Paris"]}},
        "required": ["population", "name"],
    }
    city = model.with_structured_output(schema).invoke("Tell me of a city.", max_tokens=64)
    assert city["name"] in {"Bern", "Paris"}


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_key_of_the_environment_is_named_in_the_file_where_it_is_wanted(
    wanted, tmp_path, monkeypatch
):
    def script(received):
        key = received.headers.get("authorization")
        return capable(received) if key == "Bearer k-7" or not wanted else [Refuse(401)]

    monkeypatch.setenv("CHATWRIGHT_API_KEY", "k-7")
    with Upstream(script) as server:
        findings = await probe(f"{server.url}/v1/chat/completions")
        path = tmp_path / "made.toml"
        path.write_text(findings.as_toml())
        assert "k-7" not in path.read_text()
        told = "wants the environment variable CHATWRIGHT_API_KEY"
        assert findings.notes == ([told] if wanted else [])
        assert (await load(str(path)).ainvoke("Count.")).text.startswith("1, 2")
        monkeypatch.delenv("CHATWRIGHT_API_KEY")
        if wanted:
            with pytest.raises(LoadError, match=r"key_env: .*CHATWRIGHT_API_KEY is not set"):
                load(str(path))
        else:
            assert (await load(str(path)).ainvoke("Count.")).text.startswith("1, 2")
