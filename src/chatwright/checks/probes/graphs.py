"""LangGraph applications around a model. The one importer of langgraph, which is optional."""

import asyncio
import importlib.util
from collections.abc import Sequence
from typing import Any

from chatwright.checks.outcome import skip

__all__ = ["QUESTION", "application", "graph_ways", "v3_messages"]

QUESTION = {"messages": [("user", "Where did the cat sit?")]}
"""What applications are asked."""


def graph_ways(*, scripted: bool) -> dict[str, bool]:
    """Return ways to run a graph, and whether its node is async; a live model is run once."""
    return {"astream": True, "stream": False} if scripted else {"astream": True}


def application(model: Any, *, runs_async: bool) -> Any:
    """Return an application of one node, which calls a model.

    Args:
        model: The model.
        runs_async: Whether the node calls `ainvoke` or `invoke`.

    Raises:
        Outcome: LangGraph is not installed: the rule is skipped.
    """
    if importlib.util.find_spec("langgraph") is None:
        skip("langgraph is not installed")
    from langgraph.graph import END, START, MessagesState, StateGraph  # noqa: PLC0415  optional

    def ask(state: Any) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def ask_async(state: Any) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", ask_async if runs_async else ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile()


async def v3_messages(model: Any, *, runs_async: bool) -> Sequence[tuple[str, Any]]:
    """Return the messages of an application's v3 stream: the text as it streamed, and the whole."""
    app = application(model, runs_async=runs_async)
    if runs_async:
        run = await app.astream_events(QUESTION, version="v3")
        found = []
        async for each in run.messages:
            text = "".join([piece async for piece in each.text])
            found.append((text, await each.output))
        return found

    def read() -> list[tuple[str, Any]]:
        stream = app.stream_events(QUESTION, version="v3")
        return [("".join(each.text), each.output) for each in stream.messages]

    return await asyncio.to_thread(read)
