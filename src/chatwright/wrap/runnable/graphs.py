"""A compiled LangGraph graph inside, an agent for one. LangGraph itself is never imported here."""

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from chatwright.deltas import Delta, Reasoning, ToolCallDelta
from chatwright.errors import DefinitionError, InterruptedAnswerError
from chatwright.langchain.incoming import Incoming
from chatwright.langchain.request import Request
from chatwright.wrap.runnable.adapter import Adapter

__all__ = ["GraphAdapter", "Steps", "is_graph"]

Steps = Literal["reasoning", "hidden"]

_MODES = ["messages", "updates", "values"]
_TOOLS = "tools"  # the node of `create_agent`: what a model says inside a tool is no answer
_NESTED = "__pregel_read"  # in `configurable`, where a graph runs inside another one's node


def is_graph(thing: object) -> bool:
    """Tell whether a Runnable is a compiled graph, a remote one too."""
    return any(each.__name__ == "PregelProtocol" for each in type(thing).__mro__)


class GraphAdapter(Adapter):
    """A compiled graph as a source: the text of its messages, and its tools' work as reasoning.

    Args:
        graph: The graph; its state has `messages`.
        steps: What becomes of tool calls and their results.

    Raises:
        DefinitionError: Its state has no `messages`.
    """

    kind = "graph"

    def __init__(self, graph: Any, steps: Steps) -> None:
        """Look at the state."""
        self._graph = graph
        self._steps = steps
        nodes = getattr(graph, "nodes", {}).values()
        runs_sync = not any(getattr(each.bound, "func", each) is None for each in nodes)
        super().__init__(graph.name, runs_sync=runs_sync)
        channels = getattr(graph, "channels", None)
        if channels is not None and "messages" not in channels:
            raise DefinitionError(
                f"the state of the graph {graph.name!r} has no 'messages', only "
                f"{', '.join(sorted(map(repr, channels)))}; wrap a function that asks the graph"
            )

    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Delta]:
        """Yield what the graph says."""
        config = self._config(request, fields)
        known = self._keeps(config) and _has_messages(self._graph.get_state(config))
        state = {"messages": _new(request.messages) if known else list(request.messages)}
        telling = _Telling(self.name, self._steps)
        for mode, payload in self._graph.stream(state, config, stream_mode=_MODES):
            yield from telling.feed(mode, payload)
        yield from telling.end()

    async def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Delta]:
        """Do what `read` does."""
        config = self._config(request, fields)
        known = self._keeps(config) and _has_messages(await self._graph.aget_state(config))
        state = {"messages": _new(request.messages) if known else list(request.messages)}
        telling = _Telling(self.name, self._steps)
        async for mode, payload in self._graph.astream(state, config, stream_mode=_MODES):
            for delta in telling.feed(mode, payload):
                yield delta
        for delta in telling.end():
            yield delta

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


def _has_messages(snapshot: Any) -> bool:
    return bool(snapshot.values and snapshot.values.get("messages"))


def _new(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return what a thread does not know yet: what was said since the last answer."""
    answered = [n for n, each in enumerate(messages, 1) if isinstance(each, AIMessage)]
    return list(messages[answered[-1] if answered else 0 :])


class _Telling:
    """What a graph streams, as deltas: messages are set apart by a blank line."""

    def __init__(self, name: str, steps: Steps) -> None:
        self._name = name
        self._steps = steps
        self._incoming = Incoming()
        self._id: str | None = None
        self._spoken = False
        self._parted = True
        self._known: set[str | None] | None = None  # the ids of the state's messages
        self._told: set[str | None] = set()  # of those that streamed
        self._step: dict[str | None, str] = {}  # what streamed since the last state, by id

    def feed(self, mode: str, payload: Any) -> Iterator[Delta]:
        if mode == "messages":
            yield from self._message(*payload)
        elif mode == "updates" and "__interrupt__" in payload:
            raise _interrupted(self._name, payload["__interrupt__"])
        elif mode == "values" and "messages" in payload:
            yield from self._state(payload["messages"])

    def _state(self, messages: Sequence[BaseMessage]) -> Iterator[Delta]:
        """Tell what a step has added; the first state is what the graph was given."""
        if self._known is not None:
            for message in messages:
                if message.id not in self._known:
                    yield from self._added(message)
        self._known = {each.id for each in messages}
        self._step = {}

    def _added(self, message: BaseMessage) -> Iterator[Delta]:
        streamed = message.id in self._told or message.text in self._step.values()
        if isinstance(message, AIMessage) and not streamed:
            yield from self._message(message, {})  # no model of the graph's wrote it
        if self._steps == "reasoning":
            yield from _steps_of(message)

    def end(self) -> Iterable[Delta]:
        return self._incoming.end()

    def _message(self, message: BaseMessage, metadata: Mapping[str, Any]) -> Iterator[Delta]:
        if not isinstance(message, AIMessage) or metadata.get("langgraph_node") == _TOOLS:
            return
        self._told.add(message.id)
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
