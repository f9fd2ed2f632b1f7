"""Content: reasoning, blocks, and answers that are sent back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.answers import V3, streaming
from chatwright.checks.probes.inspection import (
    ANSWERING,
    arrived,
    blocks_of,
    bound,
    calls_of,
    is_accident,
    misfit,
    requests,
    said,
    speaks_v3,
    wire,
)
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Reasoning, ToolCallDelta, Usage

THOUGHT = "Hm, `a` cat 東."
SAID = "On the mat."
THINKING: Sequence[Any] = (
    *(Reasoning("Hm, `a` "), Reasoning("cat 東.")),
    *("On the ", "mat.", Usage(9, 6)),
)
CALLING: Sequence[Any] = (
    *THINKING[:-1],
    ToolCallDelta(0, "call_1", "look_up", '{"word": '),
    ToolCallDelta(0, args='"Zurich"}'),
    Usage(9, 6),
)


_FIRST = {"input_json_delta": "tool_use", "signature": "thinking"}
"""Types of pieces, and the type of the block that they go on with."""


def _thinking(trial: Trial) -> dict[str, Any]:
    """Return what asks for reasoning: Anthropic's API gives none unasked."""
    takes = trial.shared.maker.takes or ()
    asked = wire(trial) == "anthropic" and "thinking" in takes
    return {"thinking": {"type": "enabled", "budget_tokens": 1024}} if asked else {}


@rule(
    "M1",
    "Reasoning is a block before the text, and not in the text",
    fix="Put it into `additional_kwargs['reasoning_content']`, or into blocks of the type "
    "`reasoning`; it must be found in `content_blocks`, before the text, in every mode.",
    scripted=True,
)
def reasoning(trial: Trial) -> None:
    """Users must not take an LLM's thoughts for its answer, nor parsers for JSON.

    The backend sends reasoning as its wire has it, and then text. It is looked for in
    `content_blocks`, in every mode, with `output_version` v0 and v1. A model that shows none there
    in any has a warning, `additional_kwargs` or not; one that shows it in some modes only fails.
    """
    shown: dict[str, bool] = {}
    if trial.has("calls"):
        _thinks_and_calls(trial)
    for version in ("v0", "v1"):
        model = trial.model(THINKING, output_version=version, **_thinking(trial))
        for way in (*ANSWERING, *speaks_v3(trial, version)):
            call = trial.call(way, "Hi", model=model)
            where = f"{way}, {version}"
            expect(call.error is None, f"{where}: {said(call)}", SAID)
            message = call.message
            blocks = message.content_blocks
            expect(message.text == SAID, f"{where}: the text is {message.text!r}", SAID)
            thoughts = "".join(
                str(each.get("reasoning", "")) for each in blocks if each["type"] == "reasoning"
            )
            expect(thoughts in ("", THOUGHT), f"{where}: the reasoning is {thoughts!r}", THOUGHT)
            kinds = [each["type"] for each in blocks]
            ordered = sorted(kinds, key="reasoning".__ne__)
            expect(kinds == ordered, f"{where}: blocks {kinds}", "reasoning before text")
            shown[where] = bool(thoughts)
    missing = [where for where, there in shown.items() if not there]
    if len(missing) == len(shown):
        warn("the reasoning that the backend sends is not shown", "a reasoning block")
    expect(not missing, f"there is no reasoning by {missing}", "the same in every mode")


def _thinks_and_calls(trial: Trial) -> None:
    """Expect the reasoning of an answer that calls to be there, if that of others is."""
    given = _thinking(trial)
    plain = trial.call("invoke", "Hi", model=trial.model(THINKING, **given)).message
    if not any(each["type"] == "reasoning" for each in plain.content_blocks):
        return
    asked = bound(trial.model(CALLING, **given), [LOOK_UP])
    for way in ANSWERING:
        call = trial.call(way, "Hi", model=asked)
        expect(call.error is None, f"{way}: {said(call)}", "reasoning, text and a call")
        kinds = [each["type"] for each in call.message.content_blocks]
        expect("reasoning" in kinds, f"{way}, with a call: blocks {kinds}", "reasoning as well")


@rule(
    "M2",
    "Content blocks keep their indexes throughout a stream",
    fix="Give each block an `index` when it begins, repeat it on every piece, and never use it "
    "for a block of another type.",
    scripted=True,
    needs=["streaming"],
)
def stable_indexes(trial: Trial) -> None:
    """Chunks whose content is a list are added up by the blocks' indexes.

    Blocks without one pile up, one per chunk; blocks of two types with the same one spoil each
    other. The backend sends reasoning, text and, where the model takes tools, a call; looked at
    is whatever content is a list, with `output_version` v0 and v1.
    """
    seen = False
    for version in ("v0", "v1"):
        script = CALLING if trial.has("calls") else THINKING
        model = trial.model(script, output_version=version, **_thinking(trial))
        asked = bound(model, [LOOK_UP]) if trial.has("calls") else model
        found = []
        for way in streaming(trial):
            call = trial.call(way, "Hi", model=asked)
            where = f"{way}, {version}"
            blocks = [each for chunk in call.chunks for each in blocks_of(chunk)]
            if not blocks:
                continue
            seen = True
            found.append(_indexes(blocks, where, expect if version == "v0" else _doubt))
            count, total = len(found[-1]), len(blocks_of(call.message))
            holds = expect if version == "v0" else _doubt
            holds(count == total, f"{where}: {count} indexes, {total} blocks in the sum")
        expect(len(found) < 2 or found[0] == found[1], f"{version}: {found}", "the same ones")  # noqa: PLR2004
    if not seen:
        skip("content is never a list")


def _doubt(holds: object, got: object, expected: str = "") -> None:
    """Warn unless something holds: core itself makes v1's blocks of what most models yield."""
    if not holds:
        warn(got, expected)


def _indexes(
    blocks: Sequence[Mapping[str, Any]], where: str, expect: Callable[..., None]
) -> dict[Any, Any]:
    """Return the types of blocks by their indexes."""
    found: dict[Any, Any] = {}
    for each in blocks:
        index, kind = each.get("index"), _FIRST.get(str(each.get("type")), each.get("type"))
        numbered = index is not None and isinstance(index, int | str)
        expect(numbered, f"{where}: a {kind} block has the index {index!r}", "an index")
        known = found.setdefault(index, kind)
        expect(known == kind, f"{where}: {known} and {kind} have the index {index!r}", "one each")
    texts = [index for index, kind in found.items() if kind == "text"]
    expect(len(texts) < 2, f"{where}: the text has the indexes {texts}", "one")  # noqa: PLR2004
    return found


@rule(
    "M3",
    "`model_provider` of messages is `ls_provider` of traces",
    fix="Set `response_metadata['model_provider']` and `ls_provider` of `_get_ls_params` to the "
    "same name.",
    severity="warning",
    calls=2,
)
def one_provider(trial: Trial) -> None:
    """Core translates content by `model_provider`, and traces are counted by `ls_provider`."""
    traced = trial.model()._get_ls_params().get("ls_provider")  # noqa: SLF001  no other way
    for way in ("invoke", "stream"):
        named = trial.call(way).message.response_metadata.get("model_provider")
        if named is None:
            warn(f"{way}: no model_provider; ls_provider is {traced!r}", f"{traced!r} in both")
        expect(named == traced, f"{way}: {named!r}, ls_provider: {traced!r}", "the same")


OWN_TYPES = {
    "openai": {"text", "refusal"},
    "anthropic": {"text", "thinking", "redacted_thinking", "tool_use"},
    "ollama": set[str](),
}
"""The blocks that an assistant's message may hold, by wires."""


SENT_BACK = {
    "invoke": ANSWERING,
    "ainvoke": ("stream",),
    "stream": ("ainvoke", "astream"),
    "astream": ("invoke",),
    "v3": ("invoke",),
    "async_v3": ("astream",),
}
"""By which modes an answer is sent back, by the mode that it came from: not by all, to be quick."""


@rule(
    "M5",
    "A model's own answer is accepted as input",
    fix="Translate every block that answers can hold, `reasoning` and `tool_call` included, back "
    "into the backend's form, or leave it out.",
    calls=1,
)
def own_output(trial: Trial) -> None:
    """Conversations send answers back as they came: from each mode, with v0 and v1, and from v3.

    The answer has reasoning, text and, where the model takes tools, a call. Text, call and result
    have to arrive, and no block that the wire does not know. Mistral's API refuses a message with
    both text and calls: that its text is left out is a warning. So is an error that names the block
    of v1 content which it refuses, and a block that only v3's answers have, which is sent as it is:
    core's own `convert_to_openai_messages` does so.
    """
    if not trial.scripted:
        answer = trial.call("invoke").message
        call = trial.call("invoke", [HumanMessage(trial.prompt), answer, HumanMessage("And?")])
        expect(call.error is None, said(call), "an answer")
        return
    with_tools, lost = trial.has("tools"), False
    for version in ("v0", "v1"):
        model = trial.model(CALLING if with_tools else THINKING, output_version=version)
        asked = bound(model, [LOOK_UP]) if with_tools else model
        for way in (*ANSWERING, *speaks_v3(trial, version)):
            answer = trial.call(way, "Hi", model=asked).message
            results = [
                ToolMessage("no signal", tool_call_id=each["id"] or "", name=each["name"])
                for each in answer.tool_calls
            ]
            again = [HumanMessage("Hi"), answer, *results, HumanMessage("And now?")]
            if results:
                _calls_alone(trial, asked, answer, results)
            for other in SENT_BACK[way]:
                call = trial.call(other, again, model=asked)
                where = f"{way}'s answer by {other}, {version}"
                if call.error is not None and (version == "v1" or way in V3):
                    meant = not is_accident(call.error, *_kinds(answer))
                    (warn if meant else fail)(f"{where}: {said(call)}", "an answer")
                expect(call.error is None, f"{where}: {said(call)}", "an answer")
                made = calls_of(answer)
                narrow = bool(made) and wire(trial, call) == "mistral"
                expected = [SAID] * (not narrow) + ["And now?"]
                _sent_back(trial, call, where, expected + ["Zurich", "no signal"] * bool(made))
                lost |= narrow and any(SAID not in arrived(each) for each in call.received)
    if lost:
        warn(f"{SAID!r} is not sent: the API refuses text beside calls", "all of it")


def _kinds(answer: Any) -> set[str]:
    """Return the types of an answer's blocks: who refuses one by its name does so on purpose."""
    return {str(each["type"]) for each in blocks_of(answer) if "type" in each}


def _calls_alone(trial: Trial, asked: Any, answer: Any, results: Sequence[Any]) -> None:
    """Send an answer back that is nothing but calls, as most are."""
    alone = AIMessage("", tool_calls=answer.tool_calls)
    call = trial.call("invoke", [HumanMessage("Hi"), alone, *results], model=asked)
    expect(call.error is None, f"an answer of calls alone: {said(call)}", "an answer")


def _sent_back(trial: Trial, call: Call, where: str, expected: Sequence[str]) -> None:
    for request in requests(trial, call):
        text = arrived(request)
        for part in expected:
            expect(part in text, f"{where}: {part!r} is not sent", "all of it", sent=text)
        odd_one = misfit(request)
        expect(not odd_one, f"{where}: {odd_one}", "messages as the wire has them", sent=text)
        spoken = wire(trial, call)
        if spoken not in OWN_TYPES:
            continue
        for message in request.body.get("messages", ()):
            content = message.get("content")
            if message.get("role") == "assistant" and isinstance(content, list):
                kinds = {str(each.get("type")) for each in content if isinstance(each, Mapping)}
                if odd := sorted(kinds - OWN_TYPES[spoken]):
                    tell = warn if where.startswith(V3) else fail
                    tell(f"{where}: blocks of the types {odd} are sent", sent=text)
