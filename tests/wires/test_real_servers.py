"""The client's ends with a server that others wrote: llama.cpp's own."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from chatwright import ChatEndpoint
from chatwright.wrap.gguf.weights import find

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
