"""What core 1.8 brought: a refusal is a block of its own, and why an answer ended has one name."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatwright import Finish, Refusal, chat_model
from contract.subjects import MODES

WORDS = "I can't help with that."


def refusals(answer):
    """Return the words; core's v3 knows no refusal, so that its block holds one in `value`."""
    blocks = [each.get("value", each) for each in answer.content_blocks]
    assert {each["type"] for each in blocks} == {"refusal"}
    return [each["refusal"] for each in blocks]


@chat_model
def refuses(messages):
    yield Refusal("I can't ")
    yield Refusal("help with that.")


@pytest.mark.parametrize("way", MODES)
@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_a_refusal_is_a_block_and_never_text(way, version):
    model = chat_model(refuses.function, output_version=version)
    answer = await MODES[way](model, "x")
    assert answer.text == ""
    assert refusals(answer) == [WORDS]
    told = answer.response_metadata
    assert (told["finish_reason"], told["normalized_finish_reason"]) == ("refusal", "refusal")
    assert told["finish_state"] == "refused"


@pytest.mark.parametrize("way", MODES)
async def test_a_refusal_without_words_is_one(way):
    answer = await MODES[way](chat_model(lambda messages: Refusal("")), "x")
    assert refusals(answer) == [""]


@pytest.mark.parametrize("way", ["invoke", "astream", "v3"])
async def test_an_inner_messages_refusal_comes_through(way):
    refused = AIMessage(
        "",
        additional_kwargs={"refusal": WORDS},
        response_metadata={"model_provider": "openai", "finish_reason": "stop"},
    )
    answer = await MODES[way](chat_model(lambda messages: refused), "x")
    assert refusals(answer) == [WORDS]
    assert answer.response_metadata["normalized_finish_reason"] == "refusal"


def test_a_refusal_goes_back_as_what_was_said():
    seen = []

    @chat_model
    def source(messages):
        seen.append(messages[1].text)
        return "fine"

    source.invoke([HumanMessage("x"), refuses.invoke("x"), HumanMessage("y")])
    assert seen == [WORDS]


REASONS = {
    "stop": ("stop", "completed"),
    "end_turn": ("stop", "completed"),
    "STOP": ("stop", "completed"),
    "MAX_TOKENS": ("length", "incomplete"),
    "max_output_tokens": ("length", "incomplete"),
    "tool_use": ("tool_calls", "completed"),
    "SAFETY": ("content_filter", "incomplete"),
    "refusal": ("refusal", "refused"),
    "pause_turn": ("pause_turn", "unknown"),
}


@pytest.mark.parametrize("way", MODES)
async def test_a_finish_reason_stays_raw_and_is_told_by_openais_name(way):
    for raw, expected in REASONS.items():

        @chat_model
        def source(messages):
            yield "hi"
            yield Finish(raw)

        told = (await MODES[way](source, "x")).response_metadata
        assert told["finish_reason"] == raw
        assert (told["normalized_finish_reason"], told["finish_state"]) == expected
