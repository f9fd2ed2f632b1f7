"""The ways in which LangChain calls a chat model."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk

__all__ = [
    "ASYNC",
    "HOMES",
    "IN_ASYNC_CODE",
    "MODES",
    "STREAMING",
    "Call",
    "Excess",
    "Raised",
    "Recorder",
]

MAX_CHUNKS = 20_000
"""How many chunks one answer may have before it is taken for endless."""
MAX_CHARACTERS = 20_000_000
"""How long one chunk may be: enough for any answer, too little to fill the memory."""


STREAMING = ("stream", "astream")
"""The ways that give chunks."""


HOMES = {
    "invoke": "B1",
    "ainvoke": "A2",
    "stream": "S1",
    "astream": "A2",
    "events_v1": "C4",
    "events_v2": "C5",
    "v3": "C7",
    "async_v3": "A4",
}
"""The rules that fail where a plain call does; others can't be tested then."""


IN_ASYNC_CODE = {"invoke": "ainvoke", "stream": "astream", "v3": "async_v3"}
"""How async code calls a model in place of sync code."""


class Excess(Exception):  # noqa: N818  it is a finding
    """An answer has no end, or a chunk no bounds."""


class Raised(Exception):  # noqa: N818  it is a finding
    """The model raised where an answer was expected.

    Args:
        call: The call.
    """

    def __init__(self, call: "Call") -> None:
        """Keep the call."""
        super().__init__(call.way)
        self.call = call


class Recorder(BaseCallbackHandler):
    """Keeps every callback, as its name and its arguments."""

    run_inline = True

    def __init__(self) -> None:
        """Start with nothing."""
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        """Record whatever is called; `on_llm_start` is the fallback of the one for chat models."""
        if name.startswith("on_") and name != "on_llm_start":

            def record(*args: Any, **kwargs: Any) -> None:
                self.calls.append((name, args, kwargs))

            return record
        return super().__getattribute__(name)

    def names(self) -> list[str]:
        """Return the names of the callbacks, in order."""
        return [name for name, _, _ in self._own()]

    def of(self, wanted: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments of the callbacks of one name."""
        return [(args, kwargs) for name, args, kwargs in self._own() if name == wanted]

    def _own(self) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Yield the callbacks without those of runs below a chat model's: they are its own matter.

        A model that calls others tells their runs as children of its own.
        """
        models: set[Any] = set()
        below: set[Any] = set()
        for name, args, kwargs in self.calls:
            run = kwargs.get("run_id")
            if name.endswith("_start") and kwargs.get("parent_run_id") in models | below:
                below.add(run)
            elif name == "on_chat_model_start":
                models.add(run)
            if run is None or run not in below:
                yield name, args, kwargs

    def ends(self) -> list[str]:
        """Return how the run ended; once, where all is well."""
        return [name for name in self.names() if name in {"on_llm_end", "on_llm_error"}]


@dataclass
class Call:
    """One call of a model, and all that came of it.

    Args:
        way: How it was called: a key of `MODES`.
        prompt: What was said.
        parts: What came, as it came: chunks or events; the message itself of `invoke`.
        times: When each came, in seconds since the call.
        output: The whole message.
        error: What the model raised.
        seconds: How long it took.
        recorder: The callbacks.
        received: What arrived at the upstream.
        shared: Whether rules share it.
    """

    way: str
    prompt: Any
    parts: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    output: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    recorder: Recorder = field(default_factory=Recorder)
    received: list[Any] = field(default_factory=list)
    shared: bool = False
    _started: float = field(default_factory=time.perf_counter)

    @property
    def chunks(self) -> list[Any]:
        """What came, as it came.

        Raises:
            Raised: The model raised instead.
        """
        if self.error is not None:
            raise Raised(self)
        return self.parts

    @property
    def message(self) -> Any:
        """The whole message; chunks are summed up.

        Raises:
            Raised: The model raised instead.
        """
        parts = self.chunks
        return summed(parts) if self.way in STREAMING else self.output

    def add(self, part: Any) -> None:
        """Keep what came.

        Raises:
            Excess: It is too much.
        """
        self.times.append(time.perf_counter() - self._started)
        self.parts.append(part)
        if len(self.parts) > MAX_CHUNKS:
            raise Excess(f"the answer had no end after {MAX_CHUNKS:,} chunks")
        content = getattr(part, "content", None)
        if isinstance(content, str) and len(content) > MAX_CHARACTERS:
            size = len(content)
            self.parts[-1] = None
            raise Excess(f"one chunk has {size:,} characters")


def summed(parts: Sequence[Any]) -> Any:
    """Return the sum of chunks."""
    if not parts:
        return AIMessageChunk(content="")
    first, *rest = parts
    return first + rest if rest and isinstance(first, AIMessageChunk) else first


Mode = Callable[..., Coroutine[Any, Any, None]]


async def _invoke(call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]) -> None:
    call.output = await asyncio.to_thread(model.invoke, call.prompt, config, **kwargs)
    call.add(call.output)


async def _ainvoke(
    call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]
) -> None:
    call.output = await model.ainvoke(call.prompt, config, **kwargs)
    call.add(call.output)


async def _stream(call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]) -> None:
    def read() -> None:
        for each in model.stream(call.prompt, config, **kwargs):
            call.add(each)

    await asyncio.to_thread(read)


async def _astream(
    call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]
) -> None:
    async for each in model.astream(call.prompt, config, **kwargs):
        call.add(each)


def _events(version: Any) -> Mode:
    async def read(
        call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]
    ) -> None:
        async for each in model.astream_events(call.prompt, config, version=version, **kwargs):
            call.add(each)
            if each["event"] == "on_chat_model_end":
                call.output = each["data"].get("output")

    return read


async def _v3(call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]) -> None:
    def read() -> None:
        stream = model.stream_events(call.prompt, config, version="v3", **kwargs)
        for each in stream:
            call.add(each)
        call.output = stream.output

    await asyncio.to_thread(read)


async def _async_v3(
    call: Call, model: BaseChatModel, config: Any, kwargs: Mapping[str, Any]
) -> None:
    stream: Any = await model.astream_events(call.prompt, config, version="v3", **kwargs)
    try:
        async for each in stream:
            call.add(each)
        call.output = await stream.output
    except asyncio.CancelledError:
        await stream.aclose()  # core's producer would go on otherwise
        raise
    finally:
        # The callback of the end comes after the output.
        await asyncio.wait({stream._producer_task}, timeout=1)  # noqa: SLF001  no other way


MODES: dict[str, Mode] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "events_v1": _events("v1"),
    "events_v2": _events("v2"),
    "v3": _v3,
    "async_v3": _async_v3,
}
"""The ways to call a model. All run on an event loop; the sync ones in a thread beside it."""
ASYNC = ("ainvoke", "astream", "async_v3")
"""Those that have to be native."""
