"""A compiled LangGraph graph inside, an agent for one. LangGraph itself is never imported here."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig

from chatwright.deltas import Delta, Finish, Reasoning, ToolCallDelta
from chatwright.errors import DefinitionError, InterruptedAnswerError
from chatwright.langchain.incoming import Incoming
from chatwright.langchain.request import Request
from chatwright.wrap.runnable.adapter import Adapter

__all__ = ["GraphAdapter", "Steps", "is_graph"]

Steps = Literal["reasoning", "hidden"]

_HOW: Mapping[str, Any] = {"stream_mode": ["messages", "updates", "values"], "subgraphs": True}
_INTERRUPT = "__interrupt__"
_TOOLS = "tools"  # the node of `create_agent`: what a model says inside a tool is no answer
_NESTED = "__pregel_read"  # in `configurable`, where a graph runs inside another one's node


def is_graph(thing: object) -> bool:
    """Tell whether a Runnable is a compiled graph, or one that runs elsewhere."""
    return any(each.__name__ == "PregelProtocol" for each in type(thing).__mro__)


class GraphAdapter(Adapter):
    """A compiled graph as a source: the text of its messages, and its tools' work as reasoning.

    An answer that nobody streams is what the graph's last state has that its first had not. One
    that is streamed is told as the graph's models write it, whatever becomes of it later.

    Args:
        graph: The graph; its state has `messages`.
        steps: What becomes of tool calls and their results.

    Raises:
        DefinitionError: Its state has no `messages`, or it runs elsewhere.
    """

    kind = "graph"

    def __init__(self, graph: Any, steps: Steps) -> None:
        """Look at the state."""
        self._graph = graph
        self._steps = steps
        channels = getattr(graph, "channels", None)
        if channels is None:
            raise DefinitionError(
                f"{graph.name!r} runs elsewhere, so that its state can't be looked at; wrap a "
                "function that asks it: chat_model(lambda messages: graph.invoke(…)[…][-1])"
            )
        if "messages" not in channels:
            raise DefinitionError(
                f"the state of the graph {graph.name!r} has no 'messages', only "
                f"{', '.join(sorted(map(repr, channels)))}; wrap a function that asks the graph"
            )
        nodes = graph.nodes.values()
        runs_sync = not any(getattr(each.bound, "func", each) is None for each in nodes)
        super().__init__(graph.name, runs_sync=runs_sync)

    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Delta]:
        """Yield what the graph says."""
        config = self._config(request, fields)
        thread = self._graph.get_state(config) if self._keeps(config) else None
        telling = self._telling(request, config)
        for part in self._graph.stream(_new(request.messages, thread), config, **_HOW):
            yield from telling.feed(*part)
        yield from telling.end()

    async def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Delta]:
        """Do what `read` does."""
        config = self._config(request, fields)
        thread = await self._graph.aget_state(config) if self._keeps(config) else None
        telling = self._telling(request, config)
        stream = self._graph.astream(_new(request.messages, thread), config, **_HOW)
        async with contextlib.aclosing(stream) as parts:
            async for part in parts:
                for delta in telling.feed(*part):
                    yield delta
        for delta in telling.end():
            yield delta

    def _telling(self, request: Request, config: RunnableConfig) -> "_Telling":
        steps = self._steps == "reasoning"
        pauses = _NESTED not in (config.get("configurable") or {})
        return _Telling(self.name, steps=steps, streams=request.streamed, pauses=pauses)

    def _config(self, request: Request, fields: Mapping[str, Any]) -> RunnableConfig:
        """Return the call's config; a graph that keeps threads gets one, if there is none."""
        self._refuse_parameters(request, fields)
        config = request.config
        chosen = config.get("configurable") or {}
        if not _keeps_threads(self._graph) or "thread_id" in chosen or _NESTED in chosen:
            return config
        return {**config, "configurable": {**chosen, "thread_id": str(uuid.uuid4())}}

    def _keeps(self, config: RunnableConfig) -> bool:
        return _keeps_threads(self._graph) and _NESTED not in (config.get("configurable") or {})


def _keeps_threads(graph: Any) -> bool:
    saver = getattr(graph, "checkpointer", None)
    return saver is not None and not isinstance(saver, bool)


def _new(messages: Sequence[BaseMessage], thread: Any) -> dict[str, list[BaseMessage]]:
    """Return what to give a graph: of a thread that has begun, what it does not know yet.

    That is what was said since the last answer, and system messages of another text.
    """
    known = (thread.values or {}).get("messages") if thread is not None else None
    if not known:
        return {"messages": list(messages)}
    texts = {each.text for each in known if isinstance(each, SystemMessage)}
    answered = [n for n, each in enumerate(messages, 1) if isinstance(each, AIMessage)]
    since = answered[-1] if answered else 0
    told = [m for m in messages[:since] if isinstance(m, SystemMessage) and m.text not in texts]
    return {"messages": [*told, *messages[since:]]}


class _Telling:
    """What a graph streams, as deltas: messages are set apart by a blank line.

    Args:
        name: The graph's name.
        steps: Whether tool calls and results are told.
        streams: Whether text is told as it is written, or at the end.
        pauses: Whether an interrupt is ours to tell of, and no outer graph's.
    """

    def __init__(self, name: str, *, steps: bool, streams: bool, pauses: bool) -> None:
        self._name = name
        self._tells_steps = steps
        self._streams = streams
        self._pauses = pauses
        self._incoming = Incoming()
        self._id: str | None = None
        self._spoken = False
        self._parted = True
        self._namespace: Sequence[str] | None = None
        self._first: set[str | None] | None = None  # the ids of what the graph was given
        self._state: Sequence[BaseMessage] = ()
        self._known: set[str | None] = set()  # of what has been told of the state
        self._streamed: set[str | None] = set()
        self._step: dict[str | None, str] = {}  # what streamed since the last state, by id

    def feed(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Delta]:
        """Take one part: of the graph, or of one inside of it."""
        if mode == "messages" and self._streams:
            inside_a_tool = any(each.startswith(f"{_TOOLS}:") for each in namespace)
            yield from () if inside_a_tool else self._message(*payload)
        elif mode == "updates" and self._pauses and _INTERRUPT in payload:
            raise _interrupted(self._name, payload[_INTERRUPT])
        elif mode == "values" and self._is_own(namespace) and "messages" in payload:
            self._state = payload["messages"]
            if self._first is None:
                self._first = self._known = {each.id for each in self._state}
            if self._streams:
                yield from self._added()

    def _is_own(self, namespace: Sequence[str]) -> bool:
        """Tell whether a state is the graph's: its own comes before those of graphs inside."""
        self._namespace = namespace if self._namespace is None else self._namespace
        return namespace == self._namespace

    def end(self) -> Iterator[Delta]:
        """Tell what is left, and the totals."""
        yield from self._added()
        yield from self._incoming.end()
        last = self._state[-1] if self._state else None
        if isinstance(last, ToolMessage) and last.id not in (self._first or ()):
            yield from ("\n\n" if self._spoken else "", last.text)  # a tool that returns directly
            yield Finish("stop")

    def _added(self) -> Iterator[Delta]:
        """Tell what the state has that has not been told."""
        for message in self._state:
            if message.id in self._known:
                continue
            if isinstance(message, AIMessage) and not self._has_streamed(message):
                yield from self._text(message)
            if self._tells_steps:
                yield from _steps_of(message)
        self._known = self._known | {each.id for each in self._state}
        self._step = {}

    def _has_streamed(self, message: BaseMessage) -> bool:
        return message.id in self._streamed or message.text in self._step.values()

    def _message(self, message: BaseMessage, metadata: Mapping[str, Any]) -> Iterator[Delta]:
        """Tell what one of the graph's models writes, or a node: in a copy, perhaps."""
        if not isinstance(message, AIMessage) or metadata.get("langgraph_node") == _TOOLS:
            return
        if not isinstance(message, AIMessageChunk) and self._has_streamed(message):
            self._streamed.add(message.id)
            return
        self._streamed.add(message.id)
        yield from self._text(message)

    def _text(self, message: AIMessage) -> Iterator[Delta]:
        if message.id != self._id:
            self._id, self._parted = message.id, not self._spoken
        for delta in self._incoming.deltas(message):
            if isinstance(delta, ToolCallDelta):
                continue  # made inside, and answered there
            if isinstance(delta, str) and delta:
                if not self._parted:
                    yield "\n\n"
                self._spoken = self._parted = True
                self._step[message.id] = self._step.get(message.id, "") + delta
            yield delta


def _steps_of(message: BaseMessage) -> Iterator[Reasoning]:
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            args = json.dumps(call["args"], ensure_ascii=False, default=str)
            yield Reasoning(f"{call['name']}({args})\n")
    elif isinstance(message, ToolMessage):
        yield Reasoning(f"{message.name or message.tool_call_id}: {message.text}\n")


def _interrupted(name: str, interrupts: Sequence[Any]) -> InterruptedAnswerError:
    values = [each.value for each in interrupts]
    return InterruptedAnswerError(
        f"the graph {name!r} was interrupted and waits for an answer to "
        f"{', '.join(map(repr, values))}; resume it by graph.invoke(Command(resume=…)) with the "
        "same thread_id",
        interrupts,
    )
