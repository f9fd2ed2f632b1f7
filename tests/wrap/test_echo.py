"""Every cell of LangChain's guide, with the output that it prints."""

import ast
import inspect
import re

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from chatwright import CustomChatModelAdvanced
from chatwright.wrap import echo


@pytest.fixture
def model():
    return CustomChatModelAdvanced(n=3, model_name="my_custom_model")


@pytest.mark.parametrize(
    ("whole", "chunk", "fields"),
    [
        (SystemMessage, SystemMessageChunk, {}),
        (HumanMessage, HumanMessageChunk, {}),
        (AIMessage, AIMessageChunk, {}),
        (FunctionMessage, FunctionMessageChunk, {"name": "f"}),
        (ToolMessage, ToolMessageChunk, {"tool_call_id": "1"}),
    ],
)
def test_the_message_table_has_chunk_variants_and_they_add(model, whole, chunk, fields):
    assert issubclass(whole, BaseMessage)
    assert (chunk(content="Hello", **fields) + chunk(content=" World!", **fields)).content == (
        "Hello World!"
    )
    assert model.invoke([whole(content="Hello World!", **fields)]).content == "Hel"


def test_chunks_add_as_printed():
    added = AIMessageChunk(content="Hello") + AIMessageChunk(content=" World!")
    assert added == AIMessageChunk(content="Hello World!")


def test_invoke_on_a_list(model):
    answer = model.invoke(
        [
            HumanMessage(content="hello!"),
            AIMessage(content="Hi there human!"),
            HumanMessage(content="Meow!"),
        ]
    )
    assert type(answer) is AIMessage
    assert answer.content == "Meo"
    assert answer.response_metadata["time_in_seconds"] == 3
    assert re.fullmatch(r"(lc_)?run-.*-0", answer.id)


def test_invoke_on_a_string(model):
    answer = model.invoke("hello")
    assert answer.content == "hel"
    assert answer.response_metadata["time_in_seconds"] == 3


def test_batch(model):
    answers = model.batch(["hello", "goodbye"])
    assert [each.content for each in answers] == ["hel", "goo"]
    assert len({each.id for each in answers}) == 2


def test_stream_prints_exactly(model, capsys):
    for chunk in model.stream("cat"):
        print(chunk.content, end="|")
    assert capsys.readouterr().out == "c|a|t||"


async def test_astream_prints_exactly(model, capsys):
    async for chunk in model.astream("cat"):
        print(chunk.content, end="|")
    assert capsys.readouterr().out == "c|a|t||"


async def test_astream_events_prints_the_same_events(model):
    events = [event async for event in model.astream_events("cat", version="v1")]
    assert [event["event"] for event in events] == [
        "on_chat_model_start",
        *["on_chat_model_stream"] * 4,
        "on_chat_model_end",
    ]
    assert {event["name"] for event in events} == {"CustomChatModelAdvanced"}
    assert [event["tags"] for event in events] == [[]] * 6
    assert [event["metadata"] for event in events] == [{}] * 6
    (run_id,) = {event["run_id"] for event in events}
    start, *streamed, end = [event["data"] for event in events]
    assert start == {"input": "cat"}
    assert [each["chunk"].content for each in streamed] == ["c", "a", "t", ""]
    assert {type(each["chunk"]) for each in streamed} == {AIMessageChunk}
    assert all(run_id in each["chunk"].id for each in streamed)
    assert [each["chunk"].response_metadata for each in streamed[:3]] == [{}] * 3
    assert streamed[3]["chunk"].response_metadata["time_in_sec"] == 3
    assert type(end["output"]) is AIMessageChunk
    assert end["output"].content == "cat"
    assert end["output"].response_metadata["time_in_sec"] == 3


def test_stop_is_respected_and_included(model):
    assert model.invoke("catalog", stop=["a"]).content == "ca"
    assert [chunk.content for chunk in model.stream("catalog", stop=["a"])] == ["c", "a", ""]


def test_its_type_and_identity_are_the_guides(model):
    assert model._llm_type == "echoing-chat-model-advanced"
    assert model._identifying_params["model_name"] == "my_custom_model"


def test_its_fields_are_required():
    with pytest.raises(ValueError, match="model_name"):
        CustomChatModelAdvanced(n=3)
    with pytest.raises(ValueError, match=r"\bn\b"):
        CustomChatModelAdvanced(model_name="m")


def test_it_is_written_with_the_public_api_in_under_25_lines():
    tree = ast.parse(inspect.getsource(echo))
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in imported} == {"collections.abc", "chatwright"}
    for node in ast.walk(tree):  # docstrings are not code
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                each
                for each in node.body
                if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ]
    assert len([line for line in ast.unparse(tree).splitlines() if line.strip()]) < 25
