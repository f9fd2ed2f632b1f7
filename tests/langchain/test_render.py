from langchain_core.load import dumps
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from chatwright import Reasoning, ToolCallDelta
from chatwright.langchain.render import (
    ChunkRenderer,
    EventRenderer,
    MessageRenderer,
    Summary,
    _clone,
)


def test_a_cloned_text_chunk_is_what_pydantic_would_build():
    cloned = _clone("hello")
    built = ChatGenerationChunk(message=AIMessageChunk(content="hello"))
    for one, other in ((cloned, built), (cloned.message, built.message)):
        assert one == other
        assert one.__dict__ == other.__dict__
        assert [*one.__dict__] == [*other.__dict__]
        assert one.model_fields_set == other.model_fields_set
        assert one.__pydantic_extra__ == other.__pydantic_extra__
        assert one.__pydantic_private__ == other.__pydantic_private__
        assert repr(one) == repr(other)
        assert dumps(one) == dumps(other)
        assert one.model_copy(deep=True) == other


def test_cloned_chunks_share_nothing_that_can_change():
    one, other = _clone("a"), _clone("b")
    for key, value in one.message.__dict__.items():
        if isinstance(value, dict | list):
            assert value is not other.message.__dict__[key]
    one.message.response_metadata["x"] = 1
    one.message.id = "1"
    assert other.message.response_metadata == {}
    assert other.message.id is None
    assert _clone("c").message.model_fields_set == {"content"}
    assert (one.message + other.message).content == "ab"


def test_events_are_fresh_objects():
    renderer = EventRenderer("id", {})
    events = [*renderer.piece("a"), *renderer.piece("b"), *renderer.last(Summary({"k": 1}))]
    assert len({id(each) for each in events}) == len(events)
    assert events[1]["content"] == {"type": "text", "text": ""}


def test_v1_blocks_are_numbered_in_order_and_calls_do_not_collide():
    renderer = ChunkRenderer(v1=True)
    pieces = [
        Reasoning("r"),
        "text",
        ToolCallDelta(0, "a", "one", "{}"),
        ToolCallDelta(1, "b", "two", "{"),
        ToolCallDelta(1, args="}"),
        "more",
    ]
    chunks = [chunk.message for piece in pieces for chunk in renderer.piece(piece)]
    assert [chunk.content[0]["index"] for chunk in chunks] == [0, 1, 2, 3, 3, 4]
    (last,) = renderer.last(Summary({"finish_reason": "stop"}))
    whole = chunks[0] + [*chunks[1:], last.message]
    assert [block["type"] for block in whole.content] == [
        *["reasoning", "text", "tool_call", "tool_call", "text"]
    ]


def test_malformed_arguments_are_an_invalid_call_with_the_raw_text():
    for raw, says in (('{"a": ', "Expecting value"), ("[1]", "must be a JSON object")):
        renderer = MessageRenderer()
        renderer.piece(ToolCallDelta(0, "a", "one", raw))
        (message,) = renderer.last(Summary())
        assert message.tool_calls == []
        (invalid,) = message.invalid_tool_calls
        assert invalid["args"] == raw
        assert says in invalid["error"]
