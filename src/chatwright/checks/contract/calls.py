"""Calls: what they hold, in every mode, and what becomes of them in histories."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.outcome import expect, warn
from chatwright.checks.probes.inspection import (
    ANSWERING,
    TEXT_ALONE,
    arrived,
    bound,
    calls_of,
    forced,
    is_refusal,
    misfit,
    requests,
    said,
    speaks_v3,
    strings,
    ways,
    wire,
)
from chatwright.checks.probes.tools import (
    BOTH,
    CALLED,
    CLOCK,
    TWO,
    WORD,
)
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import ToolCallDelta, Usage

SECTION = "Tools"
TEXT = "Let me look. "
INTERLEAVED: Sequence[Any] = (
    ToolCallDelta(0, "call_1", "look_up", ""),
    ToolCallDelta(1, "call_2", "look_up", '{"wo'),
    ToolCallDelta(0, args='{"word": "Zürich'),
    ToolCallDelta(2, "call_3", "clock", "{"),
    ToolCallDelta(1, args='rd": "b"}'),
    ToolCallDelta(0, args=' 東京"}'),
    ToolCallDelta(2, args="}"),
    Usage(9, 6),
)
"""Calls whose pieces come in turns, as OpenAI's wire allows."""


ARTIFACT = "artifact-7c1e"


class Opaque:
    """What a tool keeps for the program: JSON has no form for it."""

    def __repr__(self) -> str:
        """Be found, wherever it is written."""
        return f"<{ARTIFACT}>"


def history(*, blocks: bool) -> list[BaseMessage]:
    """Return a conversation with a call and its result, an error with an artifact.

    Args:
        blocks: Whether the call stands in the content too, as Anthropic has it.
    """
    content: Any = "Let me see."
    if blocks:
        content = [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "Zürich"}},
        ]
    call = {"name": "look_up", "args": {"word": "Zürich"}, "id": "call_1", "type": "tool_call"}
    return [
        HumanMessage("What is that?"),
        AIMessage(content, tool_calls=[call]),
        ToolMessage(
            "no signal 東京",
            tool_call_id="call_1",
            name="look_up",
            status="error",
            artifact={"kept": ARTIFACT, "opaque": Opaque()},
        ),
        HumanMessage("And now?"),
    ]


def _modes(trial: Trial, version: str) -> list[str]:
    return [*ANSWERING, *speaks_v3(trial, version)]


@rule(
    "T8",
    "A call of a tool without arguments has `{}`",
    fix="Take empty text for `{}`: some servers send nothing where there are no arguments.",
    section=SECTION,
    needs=["calls"],
    calls=2,
)
def no_arguments(trial: Trial) -> None:
    """Servers send `{}` or nothing; either is a valid call, in every mode.

    A live LLM that does not call, or makes arguments up, has a warning; where a call can't be
    forced, it is hoped for.
    """
    if not trial.scripted:
        call, _ = forced(trial, [CLOCK])
        call = call or trial.call("invoke", model=bound(trial.model(), [CLOCK]))
        if calls_of(call.message) != [("clock", {})]:
            warn(said(call), "a call of clock with {}")
        return
    empty = [] if wire(trial) == "responses" else [[""]]  # its calls always have some
    for pieces in (*empty, ["{}"], [" {", "} "]):
        first, *rest = pieces
        more = [ToolCallDelta(0, args=each) for each in rest]
        model = trial.model([ToolCallDelta(0, "call_1", "clock", first), *more, Usage(9, 6)])
        for way in _modes(trial, "v0"):
            call = trial.call(way, "Hi", model=bound(model, BOTH))
            right = call.error is None and calls_of(call.message) == [("clock", {})]
            expect(right, f"{way}, arguments {pieces}: {said(call)}", "one call, with {}")


@rule(
    "T9",
    "Arguments are not escaped",
    severity="warning",
    fix="Pass `ensure_ascii=False` to `json.dumps` wherever arguments become text.",
    section=SECTION,
    scripted=True,
    needs=["calls"],
)
def unescaped(trial: Trial) -> None:
    r"""LLMs read tokens: `\u6771\u4eac` is not 東京 to them, and costs several times as much.

    Looked at are the arguments of calls, the pieces of them in streams, and what is sent of calls
    in a history. The escapes of the body's own JSON don't count.
    """
    model = trial.model(TWO)
    for way in ANSWERING:
        call = trial.call(way, "Hi", model=bound(model, BOTH))
        values = [args for _, args in calls_of(call.message)]
        expect(WORD in values, f"{way}: {values}", WORD)  # type: ignore[arg-type]
        if way in STREAMING:
            parts = [each for chunk in call.chunks for each in _pieces(chunk)]
            raw = "".join(str(each.get("args") or "") for each in parts)
            expect("\\u" not in raw, f"{way}: the pieces are {raw}", "no escapes")
    for way in ANSWERING:
        call = trial.call(way, history(blocks=False), model=bound(trial.model(["ok"]), BOTH))
        expect(call.error is None, f"{way}, of a history: {said(call)}", "an answer")
        for text in (each for one in requests(trial, call) for each in strings(one.body)):
            expect("\\u" not in text, f"{way} sends {text!r}", "no escapes within the JSON")


def _pieces(chunk: Any) -> Sequence[Any]:
    return getattr(chunk, "tool_call_chunks", None) or ()


@rule(
    "T10",
    "Parallel calls are kept apart, and are the same in every mode",
    fix="Give each call's pieces their own whole number as `index`, which no text block has.",
    section=SECTION,
    scripted=True,
    needs=["calls"],
)
def parallel(trial: Trial) -> None:
    """Chunks are added up by their indexes: two calls with one become one call, and a broken one.

    Three calls come, two of them of one tool, one after the other and, where the wire can, in
    turns. They have to be the same in every mode, with `output_version` v0 and v1; in streams their
    indexes are looked at. Calls that come whole, and without an index, are kept apart by core: a
    warning, as is what goes wrong under v1 alone, into which core translates chunks.
    """
    scripts = {"in a row": TWO[2:]}
    if wire(trial) in ("openai", ""):
        scripts["in turns"] = INTERLEAVED
    for order, script in scripts.items():
        for version in ("v0", "v1"):
            model = trial.model(script, output_version=version)
            for way in _modes(trial, version):
                call = trial.call(way, "Hi", model=bound(model, BOTH))
                right = call.error is None and calls_of(call.message) == CALLED
                if not right and version == "v1" and way in STREAMING:
                    warn(f"{way}, v1, {order}: {said(call)}", f"{CALLED}")
                expect(right, f"{way}, {version}, {order}: {said(call)}", f"{CALLED}")
                if way in STREAMING:
                    _have_indexes(call, f"{way}, {version}, {order}")


def _have_indexes(call: Call, where: str) -> None:
    found = [each.get("index") for chunk in call.chunks for each in _pieces(chunk)]
    if found:  # a model that does not stream has none
        if {*found} == {None}:  # and the calls are right: each came whole
            warn(f"{where}: indexes {found}", "three numbers")
        whole = all(type(each) is int for each in found)
        expect(whole and len({*found}) == len(CALLED), f"{where}: indexes {found}", "three numbers")


@rule(
    "T11",
    "Text before a call survives, and so does the call",
    fix="Give text and calls blocks of their own: core gives the text index 0 under v1, so calls "
    "begin at 1; and send an empty last chunk that carries neither.",
    section=SECTION,
    scripted=True,
    needs=["calls"],
)
def text_before(trial: Trial) -> None:
    """LLMs say what they are about to do; neither that nor the call may be lost.

    Under v1, core puts the text at index 0, where a call whose index is 0 merges into it and is
    gone (`chat_models.py:846-853` and `utils/_merge.py:126-138` of langchain-core 1.7.2): a
    warning. It is tried in every mode, with `output_version` v0 and v1.
    """
    for version in ("v0", "v1"):
        model = trial.model(TWO, output_version=version)
        for way in _modes(trial, version):
            call = trial.call(way, "Hi", model=bound(model, BOTH))
            where = f"{way}, {version}"
            expect(call.error is None, f"{where}: {said(call)}", "text and calls")
            message = call.message
            right = message.text == TEXT and calls_of(message) == CALLED
            kinds = [each["type"] for each in message.content_blocks]
            expected = ["text", *["tool_call"] * len(CALLED)]
            if version == "v1" and way in STREAMING and (not right or kinds != expected):
                warn(f"{where}: {said(call)}, blocks {kinds}", f"{expected}")
            expect(right, f"{where}: {said(call)}", f"{TEXT!r} and {CALLED}")
            expect(kinds == expected, f"{where}: blocks {kinds}", f"{expected}")


@rule(
    "T12",
    "A tool's error goes back to the LLM, and an artifact never does",
    fix="Send `content` of a ToolMessage whatever its `status`, and leave `artifact` out: it is "
    "for the program.",
    section=SECTION,
    needs=["tools"],
    calls=1,
)
def results(trial: Trial) -> None:
    """A tool that failed says why, and the LLM tries again; artifacts may be large, or secret.

    The history holds a ToolMessage with `status="error"`, and an artifact that JSON has no form
    for. On Anthropic's wire, `is_error` has to be set, or there is a warning.
    """
    model = trial.model(["fine", Usage(9, 1)]) if trial.scripted else trial.model()
    if trial.over_http:
        _two_results(trial, model)
    for way in ways(trial):
        call = trial.call(way, history(blocks=False), model=bound(model, BOTH))
        expect(call.error is None, f"{way}: {said(call)}", "an answer")
        for request in requests(trial, call):
            text = arrived(request)
            expect(ARTIFACT not in text, f"{way}: the artifact is sent", "no artifact", sent=text)
            expect("no signal 東京" in text, f"{way}: the result is not sent", sent=text)
            odd = misfit(request)
            expect(not odd, f"{way}: {odd}", "messages as the wire has them", sent=text)
            if wire(trial, call) == "anthropic" and '"is_error": true' not in text:
                warn(f"{way}: is_error is not set", "is_error, as the status is", sent=text)


def _two_results(trial: Trial, model: Any) -> None:
    """Expect two results, one of them empty, to be sent as two."""
    calls = [
        {"name": "look_up", "args": {"word": each}, "id": f"call_{each}", "type": "tool_call"}
        for each in ("a", "b")
    ]
    told = [HumanMessage("Look."), AIMessage("", tool_calls=calls)]
    results = [
        ToolMessage("no signal", tool_call_id="call_a"),
        ToolMessage("", tool_call_id="call_b"),
    ]
    call = trial.call("invoke", [*told, *results], model=bound(model, BOTH))
    expect(call.error is None, f"two results, one of them empty: {said(call)}", "an answer")
    for request in requests(trial, call):
        text = arrived(request)
        odd = misfit(request)
        expect(not odd, f"two results: {odd}", "messages as the wire has them", sent=text)
        if wire(trial, call) == "openai":
            sent = [each for each in request.body["messages"] if each.get("role") == "tool"]
            ids = [each.get("tool_call_id") for each in sent]
            both = ids == ["call_a", "call_b"] or not ids  # they may be told by the prompt
            expect(both, f"results arrived for {ids}", "both", sent=text)


@rule(
    "T13",
    "Histories with Anthropic's `tool_use` blocks are accepted",
    fix="Drop `tool_use` blocks from content, or translate them: the message has them in "
    "`tool_calls` as well.",
    section=SECTION,
    needs=["tools"],
    calls=1,
)
def foreign_histories(trial: Trial) -> None:
    """A conversation may begin with one model and go on with another.

    The AIMessage has a text block, a `tool_use` block, and the same call in `tool_calls`. Text,
    call and result have to arrive, the call once; on wires but Anthropic's the block must not.
    Mistral's API refuses a message with both text and calls: that its text is left out is a
    warning.
    """
    lost = ""
    model = trial.model(["fine", Usage(9, 1)]) if trial.scripted else trial.model()
    for way in ways(trial):
        call = trial.call(way, history(blocks=True), model=bound(model, BOTH))
        if call.error is not None and is_refusal(call.error, "tool_use", *TEXT_ALONE):
            warn(f"{way}: {said(call)}", "an answer")
        expect(call.error is None, f"{way}: {said(call)}", "an answer")
        for request in requests(trial, call):
            text = arrived(request).replace(r"\\u00fc", "ü")  # escapes are T9's
            odd = misfit(request)
            expect(not odd, f"{way}: {odd}", "messages as the wire has them", sent=text)
            for part in ("Let me see.", "Zürich", "no signal 東京", "And now?"):
                got = f"{way}: {part!r} is not sent"
                if part not in text and part == "Let me see." and wire(trial, call) == "mistral":
                    lost = got
                    continue
                expect(part in text, got, "all of the history", sent=text)
            expect(text.count("Zürich") == 1, f"{way}: the call is sent twice", "once", sent=text)
            if wire(trial, call) != "anthropic":
                expect("tool_use" not in text, f"{way}: `tool_use` is sent", "no block", sent=text)
    if lost:
        warn(f"{lost}: the API refuses text beside calls", "all of the history")
