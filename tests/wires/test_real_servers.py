"""The client's ends with servers that others wrote: llama.cpp's own, and LiteLLM's proxy."""

import json
import os
import secrets
import socket
import subprocess
import urllib.request

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from chatwright import ChatEndpoint, InvalidRequestError, Quirks, ToolCallDelta, Usage
from chatwright.testing import Upstream
from chatwright.wrap.gguf.weights import find
from waiting import soon

WIRES = ["openai", "responses", "anthropic"]
TALK = [
    SystemMessage("You are a helpful assistant."),
    HumanMessage("What is the capital of France?"),
]
ASKED = AIMessage("", tool_calls=[{"name": "look", "args": {"word": "a"}, "id": "call:1"}])


@tool
def look(word: str) -> str:
    """Look a word up."""
    return word


@pytest.fixture(scope="module")
def llama():
    """Return the address of llama.cpp's server, with SmolLM2."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.api_keys = str(find("smollm2")), 2048, ["key"]
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": " ", "max_tokens": 1})  # its loop runs from now on
    yield server.listening_address
    del server


@pytest.mark.long
@pytest.mark.engine
@pytest.mark.parametrize("wire", WIRES)
def test_llama_cpp(llama, wire):
    model = ChatEndpoint(
        f"{llama}/v1", model="m", wire=wire, api_key="key", temperature=0, max_tokens=24
    )
    first = model.invoke(TALK)
    assert "Paris" in first.text
    assert first.usage_metadata["output_tokens"] > 1
    assert first.response_metadata["normalized_finish_reason"] == "stop"
    assert "Rome" in model.invoke([*TALK, first, HumanMessage("And of Italy?")]).text
    assert "".join(each.text for each in model.stream(TALK, stop=[" of"])) == "The capital of"
    told = model.bind_tools([look]).invoke([*TALK, ASKED, ToolMessage("a", tool_call_id="call:1")])
    assert told.text


def behind_the_proxy(received):
    if received.asked is None:  # it asks for the list of models
        return []
    if "call_1" in json.dumps(received.body):
        return ["It is ", "a.", Usage(9, 3)]
    if received.asked.tools:
        return [ToolCallDelta(0, "call_1", "look", '{"word": "a"}'), Usage(7, 4)]
    return ["Hel", "lo", Usage(5, 2)]


@pytest.fixture(scope="module")
def litellm(tmp_path_factory):
    """Return the address of LiteLLM's proxy, which has an environment of its own, and its key."""
    program = os.environ.get("LITELLM")
    if program is None:
        pytest.skip("LITELLM names no program; `make test-long` installs one")
    home, key = tmp_path_factory.mktemp("litellm"), f"sk-{secrets.token_hex()}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Upstream(behind_the_proxy) as upstream:
        params = {"model": "openai/m", "api_base": f"{upstream.url}/v1", "api_key": "sk-behind"}
        config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
        (home / "config.json").write_text(json.dumps(config))
        with (home / "log").open("wb") as log:
            proxy = subprocess.Popen(
                [program, "--config", "config.json", "--host", "127.0.0.1", "--port", str(port)],
                cwd=home,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(home),
                    "LITELLM_MASTER_KEY": key,
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                },
                stdout=log,
                stderr=log,
            )
        url = f"http://127.0.0.1:{port}"

        def is_up():
            assert proxy.poll() is None, (home / "log").read_text()
            try:
                return urllib.request.urlopen(f"{url}/health/liveliness").status == 200
            except OSError:
                return False

        try:
            assert soon(is_up, seconds=120)
            yield f"{url}/v1", key
        finally:
            proxy.kill()
            proxy.wait()


@pytest.mark.long
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", WIRES)
def test_litellms_proxy(litellm, wire, stream):
    url, key = litellm
    model = ChatEndpoint(url, model="m", wire=wire, api_key=key, quirks=Quirks(stream=stream))
    answer = model.invoke(TALK)
    assert answer.text == "Hello"
    assert answer.usage_metadata["total_tokens"] == 7
    assert answer.response_metadata["normalized_finish_reason"] == "stop"
    looks = model.bind_tools([look])
    asked = looks.invoke(TALK)
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("look", {"word": "a"})
    told = looks.invoke([*TALK, asked, ToolMessage("a", tool_call_id=call["id"])])
    assert told.text == "It is a."
    with pytest.raises(InvalidRequestError, match=r"HTTP 400: .*nobody"):
        ChatEndpoint(url, model="nobody", wire=wire, api_key=key).invoke(TALK)
