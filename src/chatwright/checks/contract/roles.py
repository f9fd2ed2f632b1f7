"""Roles: whose words a message is when it arrives."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect, fail, skip
from chatwright.checks.probes.inspection import ANSWERING, arrived, is_refusal, said
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial

RULE, ASKED, TOLD, NEXT = (
    "Answer as a pirate.",
    "Where is Zürich?",
    "In the Alps, arr.",
    "And Bern?",
)
RESULT = "no signal in the tunnel"
ASSISTANTS = frozenset({"ai", "assistant", "model"})
CALL = {"name": "look_up", "args": {"word": "Bern"}, "id": "call_1"}


@rule(
    "B11",
    "Messages arrive as what they are: nobody's words become the assistant's",
    fix="Map system to `system`, human to `user`, ai to `assistant` and tool to `tool`, or to "
    "what the backend has in their place; raise for a type that you don't know.",
    scripted=True,
)
def roles_are_kept(trial: Trial) -> None:
    """A system message in the assistant's name is an example to follow, and no instruction.

    A conversation of all roles is sent; so is one with a tool's call and its result, as agents that
    change models in the middle do, whether or not the model has tools itself. All texts have to
    arrive. A backend without roles may be given one text of it all; one without a role for the
    system may have it in a user's message; and a history with tools may be refused by name.
    """
    for way in ANSWERING if trial.has("streaming") else ANSWERING[:2]:
        talk = [SystemMessage(RULE), HumanMessage(ASKED), AIMessage(TOLD), HumanMessage(NEXT)]
        call = trial.call(way, talk)
        expect(call.error is None, f"{way}: {said(call)}", "an answer")
        _kept(call, way, [RULE, ASKED, NEXT], [TOLD])
    calls = [HumanMessage(ASKED), AIMessage("", tool_calls=[CALL])]
    call = trial.call(
        "invoke", [*calls, ToolMessage(RESULT, tool_call_id="call_1"), HumanMessage(NEXT)]
    )
    if call.error is not None:
        expect(
            is_refusal(call.error, "tool"), f"a tool's result: {said(call)}", "a refusal by name"
        )
    else:
        _kept(call, "a history with a tool's result", [ASKED, RESULT, NEXT], [])


def _kept(call: Call, where: str, others: Sequence[str], assistants: Sequence[str]) -> None:
    """Expect all texts to have arrived, those of others not in the assistant's name."""
    if not call.received or call.received[-1].asked is None:
        skip("no request was seen")
    request = call.received[-1]
    text = arrived(request)
    for part in (*others, *assistants):
        expect(
            part in text, f"{where}: {part!r} did not arrive", "the whole conversation", sent=text
        )
    for role, words in request.asked.messages:
        theirs = [each for each in others if each in words]
        own = [each for each in assistants if each in words]
        if theirs and own:
            continue  # one text of it all
        if theirs and role in ASSISTANTS:
            fail(f"{where}: {theirs[0]!r} arrived as {role!r}", "not the assistant's", sent=text)
        if own and role not in ASSISTANTS:
            fail(f"{where}: {own[0]!r} arrived as {role!r}", "the assistant's", sent=text)
