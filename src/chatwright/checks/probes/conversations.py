"""Conversations as agents, and people, make them."""

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect
from chatwright.testing import Received

__all__ = ["ODD_TALK", "expect_all", "history"]

ODD_TALK = [
    SystemMessage("first rule"),
    SystemMessage("second rule"),
    HumanMessage("one", name="ada"),
    HumanMessage("two"),
    AIMessage("three"),
    AIMessage("four", name="bot"),
    HumanMessage("  five\n\n   or so"),
    AIMessage("six"),
    HumanMessage("seven"),
    AIMessage("eight"),
    HumanMessage("nine"),
]


def expect_all(call: Call) -> None:
    """Fail unless all of `ODD_TALK` has arrived, in order, and by its roles."""
    if call.received and call.received[-1].asked:
        texts = "\n".join(text for _, text in call.received[-1].asked.messages)
        places = [texts.find(each.text) for each in ODD_TALK]
        lost = [each.text for each, at in zip(ODD_TALK, places, strict=True) if at < 0]
        expect(not lost, f"these did not arrive: {lost}", sent=texts)
        expect(places == sorted(places), "they arrived in another order", sent=texts)
        _expect_roles(call.received[-1], texts)


def _expect_roles(received: Received, texts: str) -> None:
    """Fail where a text arrives in another's mouth; a prompt that is one text has no roles."""
    arrived = received.asked.messages if received.asked else ()
    if len({role for role, _ in arrived}) < 2:  # noqa: PLR2004
        return
    for message in ODD_TALK:
        role = {"human": "user", "ai": "assistant"}.get(message.type)
        found = [each for each, text in arrived if message.text in text]
        got = f"the {message.type} message {message.text!r} arrived as {found}"
        expect(role is None or role in found, got, role or "", sent=texts)


def history(*, with_tools: bool) -> list[Any]:
    """Return a conversation of all kinds of messages, with all that messages may hold."""
    call = ToolCall(name="look_up", args={"word": "cat"}, id="call_1", type="tool_call")
    looked_up = [
        AIMessage("Let me see.", tool_calls=[call]),
        ToolMessage("an animal", tool_call_id="call_1", name="look_up", artifact={"kept": [1]}),
        AIMessage("An animal."),
    ]
    return [
        SystemMessage([{"type": "text", "text": "Be brief."}]),
        SystemMessage("Be kind."),
        HumanMessage("I have a question."),
        HumanMessage([{"type": "text", "text": "Hello"}], name="ada"),
        AIMessage("Hi.", tool_calls=[], response_metadata={"finish_reason": "stop"}),
        AIMessage("", additional_kwargs={"kept": {"a": 1}}, usage_metadata=None),
        HumanMessage("Look it up"),
        *(looked_up if with_tools else ()),
        HumanMessage("Go on", additional_kwargs={"kept": [1]}),
    ]
