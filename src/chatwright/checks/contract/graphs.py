"""Callbacks in LangGraph: what its streams show of a model inside of a graph."""

from typing import Any

from langchain_core.messages import AIMessageChunk

from chatwright.checks.outcome import expect, fail, skip
from chatwright.checks.probes.answers import (
    streams_by,
)
from chatwright.checks.probes.graphs import QUESTION, application, graph_ways, v3_messages
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial


@rule(
    "C10",
    "LangGraph's `messages` mode streams one message with one id, and honours `nostream`",
    fix="Leave `invoke` and `ainvoke` to core, keep one id through a stream, and hand the "
    "config's tags on to whatever you call.",
    calls=2,
)
def graphs_stream_messages(trial: Trial) -> None:
    """The node calls `invoke`, and users see its chunks: then the whole must not come once more.

    LangGraph tells by the id whether it has shown a message (`pregel/_messages.py`). With the tag
    `nostream`, the whole message comes once, and no chunk. Skipped without langgraph.
    """
    model: Any = trial.model()
    streams = trial.has("streaming") and model.disable_streaming is not True
    for way, runs_async in graph_ways(scripted=trial.scripted).items():
        app = application(model, runs_async=runs_async)
        seen = _seen(trial, way, app)
        ids = {each.id for each in seen}
        got = f"{way}: {len(seen)} messages with {len(ids)} ids"
        own = {each for each in ids if not str(each).startswith(("lc_", "run-"))}
        good = all(ids) and len(own) <= 1 and len(ids - own) <= 1  # as S4 has it
        expect(good, got, "one message, in chunks with one id")
        chunks = [each for each in seen if isinstance(each, AIMessageChunk)]
        expect(len(chunks) in {0, len(seen)}, f"{got}: {len(chunks)} chunks, and the whole")
        if streams and streams_by(trial, "ainvoke" if runs_async else "invoke"):
            expect(len(chunks) > 1, f"{got}, of which {len(chunks)} are chunks", "its chunks")
        elif len(seen) > 1:
            fail(got, "one message")
        silent = application(model.with_config(tags=["nostream"]), runs_async=runs_async)
        kinds = [type(each).__name__ for each in _seen(trial, way, silent)]
        expect(kinds == ["AIMessage"], f"{way}, nostream: {kinds[:5]}", "the whole message, once")


def _seen(trial: Trial, way: str, app: Any) -> list[Any]:
    call = trial.call(way, QUESTION, model=app, stream_mode="messages")
    return [message for message, _ in call.chunks]


@rule(
    "C11",
    "LangGraph's v3 `.messages` gives the model's message, once",
    fix="Leave v3 to core, or have your hook keep the protocol (see C7).",
    calls=1,
)
def graphs_have_v3_messages(trial: Trial) -> None:
    """LangGraph's v3 has core stream the model's events behind `invoke`, and rebuilds the message.

    The text as it streams and the whole message's must be the same. Skipped without langgraph, and
    where that is too old to have v3.
    """
    model: Any = trial.model()
    if not hasattr(application(model, runs_async=True), "stream_events"):
        skip("langgraph is too old to have v3")
    for way, runs_async in graph_ways(scripted=trial.scripted).items():
        trial.shared.budget.claim()
        found = trial.run(v3_messages(model, runs_async=runs_async))
        expect(len(found) == 1, f"{way}: {len(found)} messages", "one")
        ((text, message),) = found
        got = f"{way}: streamed {text!r}, the whole is {message.text!r}"
        expect(text and text == message.text, got, "the same")
        if trial.scripted:
            whole = trial.call("invoke").message.text
            expect(text == whole, f"{way}: {text!r}, invoke: {whole!r}", "the same")
