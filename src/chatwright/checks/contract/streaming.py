"""Streaming: chunks, how they add up, and what they may carry."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage

from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.outcome import expect, fail, skip, warn
from chatwright.checks.probes.answers import streaming, streams_by
from chatwright.checks.probes.inspection import wire
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Finish, Reasoning, ToolCallDelta, Usage
from chatwright.testing import Pause

ATTEMPTS = 5
LIKELY = 4
"""How often what may be chance has to come again."""
PAUSE_SECONDS = 0.4
LONG = ["The ", "cat ", *["sat ", "and ", "sat ", "on "] * 12, "the "]
"""Longer than what is put together into one chunk by models that batch."""


def early_text(call: Call) -> str:
    """Return the text that came well before the end of an answer that pauses in between."""
    late = call.seconds - PAUSE_SECONDS / 2
    pairs = zip(call.times, call.chunks, strict=True)
    return "".join(each.text for at, each in pairs if at < late)


def streams(trial: Trial) -> Iterator[tuple[str, Call]]:
    """Yield plain streams, and of a script those of other answers too; made once for all rules.

    Those that raise are another rule's to tell: they are left out, as long as one comes through.
    """
    plain = [(way, trial.call(way)) for way in streaming(trial)]
    found = trial.shared.streams
    if trial.scripted and not found:
        for name, model, kwargs in _others(trial):
            for way in streaming(trial):
                found[f"{way}, {name}"] = trial.call(way, "Hi", model=model, **kwargs)
    whole = [each for each in (*plain, *found.items()) if each[1].error is None]
    yield from whole or plain


def _others(trial: Trial) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield names of other answers than plain ones, models that give them, and what is asked."""
    if any(
        trial.call(way).error for way in streaming(trial)
    ):  # many break on a last chunk of counts
        yield "without counts", trial.model(["The ", "cat."]), {}
    yield "cut", trial.model(["Cut in the mid", Finish("length"), Usage(9, 6)]), {}
    if wire(trial) != "anthropic":  # it gives none unasked
        thinking = [Reasoning("hm, "), Reasoning("so"), "Well.", Usage(9, 6)]
        yield "reasoning", trial.model(thinking), {}
    if trial.has("stop"):
        yield "stopped", trial.model(["The ", "cat ", "sat ", Usage(9, 6)]), {"stop": ["cat"]}
    if trial.has("calls"):
        call = ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')
        model: Any = trial.model(["Let me ", "look.", call, Usage(9, 6)])
        yield "a call", model.bind_tools([LOOK_UP]), {}


@rule(
    "S1",
    "`stream` yields only `AIMessageChunk`s",
    fix="Write `_stream`, and yield `ChatGenerationChunk(message=AIMessageChunk(...))` from it.",
    calls=1,
)
def only_chunks(trial: Trial) -> None:
    """Code that reads a stream adds chunks up; an `AIMessage`, or a str, can't be added to one.

    A class without `_stream` is not broken, but nobody sees its answers grow: core gives the whole
    answer as one message. That is a warning.
    """
    for way in STREAMING if trial.scripted else ("stream",):
        parts = trial.call(way).chunks
        if not streams_by(trial, way):
            warn(f"{way} gave the whole answer: the class has no _stream", "chunks as they come")
        wrong = [type(each).__name__ for each in parts if not isinstance(each, AIMessageChunk)]
        expect(parts and not wrong, f"{way} yielded {wrong or 'nothing'}", "AIMessageChunk only")


@rule(
    "S2",
    "The sum of the chunks equals invoke's answer",
    fix="Make both of one stream: let `_generate` gather what `_stream` yields, or read both from "
    "one parser.",
    needs=["streaming"],
    calls=6,
)
def the_sum_is_the_answer(trial: Trial) -> None:
    """Text, tool calls and finish reason must not depend on how a model is called.

    The backend answers the same each time: text, then a call, then text that was cut by length. A
    model as it is has to answer the same, if it does so from call to call.
    """
    if not trial.scripted:
        _live_sum(trial)
        return
    scripts: list[list[Any]] = [
        ["The cät ", "sat\n", "", "  on 日本 ", "mats.", Usage(9, 6)],
        ["\n  It is ", "indented, and ends with space. \n", Usage(9, 6)],
        ["Cut in the mid", Finish("length"), Usage(9, 6)],
        [" Ha", "ha", "ha", "ha", " no", " no", Usage(9, 6)],
        [*(f"{n} " for n in range(200)), Usage(9, 6)],
    ]
    if trial.has("calls"):
        call = ToolCallDelta(0, "call_1", "look_up", '{"word": "cat"}')
        scripts.append([call, Usage(9, 6)])
    for script in scripts:
        model = trial.model(script)
        asked = model.bind_tools([LOOK_UP]) if isinstance(script[0], ToolCallDelta) else model
        whole = trial.call("invoke", "Hi", model=asked).message
        for way in ("ainvoke", *streaming(trial)):
            total = trial.call(way, "Hi", model=asked).message
            for name, value, other in _compared(whole, total):
                expect(value == other, f"{way}: {name} {other!r}, invoke: {value!r}", "the same")
            cut = any(isinstance(each, Finish) for each in script)
            reason = _reason(total)
            got = f"{way}: an answer that was cut ends by {reason!r}"
            expect(not cut or reason not in {"stop", "end_turn"}, got, "'length'")
            said = "".join(each for each in script if isinstance(each, str))
            expect(total.text == said, f"{way}: {total.text!r}", "what the backend said", sent=said)


def _live_sum(trial: Trial) -> None:
    """Fail if a model says one thing each time by invoke, and another one each time streamed."""

    def texts(way: str, times: int) -> set[str]:
        return {trial.call(way, model=trial.model()).message.text for _ in range(times)}

    if len(whole := texts("invoke", 2)) > 1:
        skip("its answers differ from call to call")
    for way in streaming(trial):
        if (total := texts(way, 1)) != whole:
            again = texts("invoke", LIKELY) == whole and texts(way, LIKELY) == total
            expect(not again, f"{way}: {total.pop()!r}, invoke: {whole.pop()!r}", "the same")


def _reason(message: BaseMessage) -> Any:
    metadata = message.response_metadata
    names = ("finish_reason", "done_reason", "stop_reason")
    return next((metadata[each] for each in names if each in metadata), None)


def _compared(whole: BaseMessage, total: BaseMessage) -> list[tuple[str, Any, Any]]:
    def calls(message: Any) -> list[Any]:
        return [(each["name"], each["args"]) for each in message.tool_calls]

    return [
        ("text", whole.text, total.text),
        ("tool calls", calls(whole), calls(total)),
        ("finish reason", _reason(whole), _reason(total)),
    ]


@rule(
    "S3",
    "Exactly one chunk, the last, has `chunk_position='last'`, and the model yields it itself",
    fix="End `_stream` with one empty chunk that has `chunk_position='last'`; core adds one where "
    "it is missing, but only after the callbacks have got their message.",
    severity="warning",
    needs=["streaming"],
    calls=1,
)
def one_last_chunk(trial: Trial) -> None:
    """Core marks the end of a stream that does not mark it, by a chunk of its own.

    That chunk is yielded but not kept (`chat_models.py:861-875` of langchain-core 1.7.2): the
    message that `on_llm_end` gets is made without it, and its tool calls are unparsed under v1. Who
    relies on core has a warning; two marks, or one in the middle, are a failure.
    """
    for way, call in streams(trial):
        marks = [n for n, each in enumerate(call.chunks) if each.chunk_position == "last"]
        expect(marks == [len(call.chunks) - 1], f"{way}: marks at {marks} of {len(call.chunks)}")
    own = [n for n, each in enumerate(_own_chunks(trial)) if each.chunk_position == "last"]
    if not own:
        warn("core had to add the last chunk", "the model's own")


def _own_chunks(trial: Trial) -> list[Any]:
    """Return the chunks that the model itself yields, as the callbacks see them."""
    tokens = trial.call("stream").recorder.of("on_llm_new_token")
    seen: list[Any] = [kwargs.get("chunk") for _, kwargs in tokens]
    return [each.message for each in seen if hasattr(each, "message")]


@rule(
    "S4",
    "All chunks of an answer share one id",
    fix="Leave `id` unset: core sets the run's. Or set the same one on every chunk.",
    needs=["streaming"],
    calls=1,
)
def one_id(trial: Trial) -> None:
    """LangGraph and user interfaces put chunks together by their ids.

    Core gives the run's to chunks without one, and in a sum prefers the provider's
    (`add_ai_message_chunks`): the two may stand beside each other.
    """
    for way, call in streams(trial):
        ids = {each.id for each in call.chunks}
        own = {each for each in ids if not str(each).startswith(("lc_", "run-"))}
        good = all(ids) and len(own) <= 1 and len(ids - own) <= 1
        expect(good, f"{way}: {len(ids)} ids: {sorted(map(str, ids))[:4]}")


@rule(
    "S5",
    "Content is always str, or always list, within one stream",
    fix="Yield `''` where there is no text, and not `[]` or None; or lists of blocks throughout.",
    needs=["streaming"],
    calls=1,
)
def one_kind_of_content(trial: Trial) -> None:
    """A str and a list add up to a list that holds both, which no reader expects."""
    for way, call in streams(trial):
        kinds = Counter(type(each.content).__name__ for each in call.chunks)
        expect(len(kinds) == 1, f"{way}: {dict(kinds)}")


@rule(
    "S6",
    "The last chunks carry `response_metadata`",
    fix="Put `response_metadata={'finish_reason': ..., 'model_name': ...}` on the chunk that ends "
    "the answer.",
    needs=["streaming"],
    calls=1,
)
def metadata_at_the_end(trial: Trial) -> None:
    """Whoever streams wants to know why the answer ended, and which model gave it.

    The guide puts it on the last chunk; core may mark the end with a chunk of its own behind that.
    """
    for way, call in streams(trial):
        parts = call.chunks
        at = [n for n, each in enumerate(parts) if set(each.response_metadata) - {"model_provider"}]
        if not at:
            # What answers as it is may have no backend, and nothing to tell.
            (fail if trial.scripted else warn)(f"{way}: no chunk has response_metadata")


@rule(
    "S7",
    "Text in `response_metadata` comes on one chunk only",
    fix="Send `model_name`, `finish_reason` and the like with one chunk, the last: when chunks "
    "are added up, texts are joined.",
    needs=["streaming"],
    calls=1,
)
def texts_once(trial: Trial) -> None:
    """Repeated texts are joined when chunks are added: `finish_reason` becomes `stopstop`.

    Core excepts `model_provider`, and so does this rule.
    """
    for way, call in streams(trial):
        for name, values in _repeated(call.chunks).items():
            if all(isinstance(each, str) for each in values) and name != "model_provider":
                fail(f"{way}: {name!r} came {len(values)} times: {values[:3]}")


@rule(
    "S8",
    "No number or bool in `response_metadata` comes on two chunks",
    fix="Send numbers with one chunk, the last: when chunks are added up, whole numbers are "
    "summed, and floats raise.",
    needs=["streaming"],
    calls=1,
)
def numbers_once(trial: Trial) -> None:
    """When chunks are added up, ints are summed, and floats that differ raise."""
    for way, call in streams(trial):
        # Core raises when it adds floats up that differ: the chunks have come all the same.
        for name, values in _repeated(call.parts or call.chunks).items():
            if any(isinstance(each, int | float) for each in values):
                fail(f"{way}: {name!r} came {len(values)} times: {values[:3]}")


def _repeated(parts: list[Any]) -> dict[str, list[Any]]:
    """Return the metadata that several chunks carry, by name; nested ones by their paths."""
    found: dict[str, list[Any]] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(f"{path}.{name}" if path else str(name), each)
        elif value is not None:
            found.setdefault(path, []).append(value)

    for each in parts:
        walk("", each.response_metadata)
    return {name: values for name, values in found.items() if len(values) > 1}


@rule(
    "S9",
    "The first chunk arrives before the backend has finished",
    fix="Ask the backend for a stream, and yield each piece as it arrives; don't gather first.",
    scripted=True,
    needs=["streaming"],
)
def as_it_comes(trial: Trial) -> None:
    """The backend pauses in the middle of its answer; the first half must be there before.

    What is compared is how long before the end the first text came, so that a slow model and a slow
    machine accuse nobody, and it is tried again before it does.
    """
    script = [*LONG, Pause(PAUSE_SECONDS), "mat.", Usage(9, 3)]
    for way in streaming(trial):
        early = any(early_text(trial.call(way, "Hi", script=script)) for _ in range(ATTEMPTS))
        expect(early, f"{way}: no text came before the backend's pause was over", "the first half")


@rule(
    "S10",
    "`stream=` among a call's parameters is tolerated",
    fix="Take `**kwargs` in `_stream` and `_generate`, and drop `stream` before you pass them on.",
    severity="warning",
    needs=["streaming"],
    calls=2,
)
def stream_is_tolerated(trial: Trial) -> None:
    """Core passes a call's parameters on to `_stream`; `stream=True` means what is done anyway."""
    for way in streaming(trial):
        call = trial.call(way, stream=True)
        expect(call.error is None and call.message.text, f"{way}(stream=True): {_said(call)}")


def _said(call: Any) -> str:
    if call.error is None:
        return repr(call.message.text)
    return f"{type(call.error).__name__}: {call.error}"


@rule(
    "S11",
    "`disable_streaming` and `streaming=False` give one message, and no token callback",
    fix="Don't fire `on_llm_new_token` from `_generate`, and don't hand `run_manager` on from it "
    "to `_stream`.",
    needs=["streaming"],
    calls=3,
)
def streaming_can_be_disabled(trial: Trial) -> None:
    """Backends that can't stream, or not with tools, are shielded by these two.

    `disable_streaming="tool_calling"` holds where tools are bound. That `streaming=False` changes
    nothing is a warning: it may be meant for the model that a wrapper holds. So are the tokens of
    a model whose one message is streamed below, and told while it comes.
    """
    cases: list[tuple[dict[str, Any], bool]] = [({"disable_streaming": True}, False)]
    if trial.scripted and trial.takes("streaming"):
        cases.append(({"streaming": False}, False))
    if trial.scripted and trial.has("tools"):
        cases.append(({"disable_streaming": "tool_calling"}, True))
    for fields, with_tools in cases:
        model = trial.model(**fields)
        asked = model.bind_tools([LOOK_UP]) if with_tools else model
        for way in streaming(trial):
            call = trial.call(way, model=asked)
            tokens = call.recorder.of("on_llm_new_token")
            got = f"{way}, {fields}: {len(call.chunks)} parts, {len(tokens)} token callbacks"
            if len(call.chunks) != 1 or tokens:  # `streaming` may be an inner model's
                parts = len(call.chunks) != 1 and "streaming" not in fields
                (fail if parts else warn)(got, "one message, and no token callback")


@rule(
    "S12",
    "An empty answer still yields a chunk",
    fix="Yield an empty chunk where the backend sends no text: core raises where none comes.",
    scripted=True,
    needs=["streaming"],
)
def empty_is_a_chunk(trial: Trial) -> None:
    """An LLM may answer with nothing, after a tool's result for one."""
    for way in ("invoke", *streaming(trial)):
        call = trial.call(way, script=["", Usage(9, 0)])
        expect(call.error is None, f"{way}: {_said(call)}" if call.error else "", "an empty text")
        expect(call.message.text == "", f"{way}: {call.message.text!r}", "an empty text")


@rule(
    "S13",
    "With `output_version='v1'` the text is one block",
    fix="Yield str content and leave the blocks to core; or give every text block the same index.",
    needs=["streaming"],
    calls=1,
)
def one_text_block(trial: Trial) -> None:
    """Under v1, content is a list of typed blocks; a text must not be cut into one per chunk."""
    for way in streaming(trial):
        message = trial.call(way, fields={"output_version": "v1"}).message
        content = message.content
        if not isinstance(content, list):  # a wrapper's inner model is not told
            warn(f"{way}: content is {type(content).__name__}", "a list of blocks")
        texts = [each for each in content if each.get("type") == "text"]
        expect(len(texts) == 1, f"{way}: {len(texts)} text blocks", "one")
