"""`recorded`: a model whose answers are kept in a file, and replayed from there."""

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from langchain_core.language_models import ModelProfile
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig
from pydantic import Field, SecretStr

from chatwright.core.bridge import Either
from chatwright.deltas import Delta
from chatwright.langchain.call import Call
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.model import ChatModel
from chatwright.langchain.plan import Plan
from chatwright.langchain.request import Request
from chatwright.langchain.run import Inside, Run
from chatwright.langchain.settings import PLUMBING, Settings
from chatwright.wrap.function import chat_model
from chatwright.wrap.recording.requests import written
from chatwright.wrap.recording.secrets import Secrets
from chatwright.wrap.recording.take import DeltaRenderer, Take, played
from chatwright.wrap.recording.tape import Mode, Tape

__all__ = ["RecordedModel", "recorded"]


def recorded(
    model: Any, cassette: str | Path, *, mode: Mode = "once", timing: bool = False
) -> ChatModel:
    """Return a model that answers as another one, and keeps its answers in a file.

    A request is answered by a recorded answer to an equal one: of the same messages, tools, format,
    stop sequences, model name and sampling parameters. Equal requests that were asked several times
    are replayed in their order. An error is raised again where it was raised; streams come in the
    recorded pieces, from whatever method they are asked for. No secret gets into the file: see
    `docs/record.md`.

    Args:
        model: Whatever `chat_model` takes: any chat model, a chain, an agent, a function. It is
            not touched by a replay.
        cassette: The file; it and its folder are made when the first answer is recorded.
        mode: `none` replays alone. `once` does, too, where the file is there already, and records
            everything where it is not. `new` replays what is recorded and records the rest. `all`
            asks the model each time, in place of what is recorded of the request.
        timing: Whether a replay takes the time that the answer took. Default: it does not wait.

    Returns:
        The model. What is made of it (`bind_tools`, `with_structured_output`, copies) shares its
        place in the cassette; each call of `recorded` begins anew.

    Raises:
        CassetteError: There is no such mode, or no cassette to replay, or the file is none. With an
            answer: a request is not recorded, and is not to be; what differs is told.
        DefinitionError: As `chat_model`.
        MissingExtraError: With an answer: filelock is not installed, and something is to be
            recorded.

    Example:
        ```python
        model = recorded(ChatOpenAI(model="gpt-5"), "tests/cassettes/rivers.jsonl")
        ```
    """
    return on_tape(model, Tape(cassette, mode, timing=timing))


def on_tape(model: Any, tape: Tape) -> ChatModel:
    """Return a model that is recorded on a tape, which others may share."""
    inner = chat_model(model)
    fields = {name: getattr(inner, name) for name in (*_SHARED, *_PLUMBING)}
    key = inner.api_key if isinstance(inner.api_key, SecretStr) else None  # or what makes one
    # What a cache has would not be recorded.
    return RecordedModel(**fields, cache=False, api_key=key, inner=inner, tape=tape)


_PLUMBING = tuple(PLUMBING - {"cache", "profile", "rate_limiter"})
_SHARED = tuple(Settings.model_fields.keys() - PLUMBING - {"api_key"})


class RecordedModel(ChatModel):
    """A chat model on a tape; `recorded` makes them.

    What it hands on are the inner one's answers as they are: what is taught, filtered and asked
    again for is done there, and recorded.
    """

    inner: ChatModel = Field(exclude=True, repr=False)
    """The model that is recorded."""
    tape: Tape = Field(exclude=True, repr=False)
    """What it is recorded on."""

    fixed = ChatModel.fixed | {"inner", "tape"}
    has_prices: ClassVar[bool] = False

    def reply(self, request: Request) -> Either:
        """Replay the answer, or have the inner one answer and record that."""
        return Either(
            functools.partial(self._read, request), functools.partial(self._aread, request)
        )

    def in_force(self) -> ChatModel:
        """Return the inner one with what has been set on this one since, if anything has."""
        values = {name: getattr(self, name) for name in _SHARED}
        changed = {name: v for name, v in values.items() if v != getattr(self.inner, name)}
        if self.api_key is not None and self.api_key != self.inner.api_key:
            changed["api_key"] = self.api_key
        return self.inner.model_copy(update=changed) if changed else self.inner

    def _read(self, request: Request) -> Iterator[Delta]:
        asking = _Asking(self.in_force(), self.tape, request)
        for wait, delta in asking.replayed():
            time.sleep(wait)
            yield delta
        if asking.is_live:
            if limiter := self.inner.rate_limiter:
                limiter.acquire(blocking=True)
            with asking, contextlib.closing(asking.call().drive()) as deltas:  # type: ignore[type-var]  # a generator
                for delta in deltas:
                    yield asking.heard(delta)

    async def _aread(self, request: Request) -> AsyncIterator[Delta]:
        asking = _Asking(self.in_force(), self.tape, request)
        for wait, delta in asking.replayed():
            await asyncio.sleep(wait)
            yield delta
        if asking.is_live:
            if limiter := self.inner.rate_limiter:
                await limiter.aacquire(blocking=True)
            async with asking, contextlib.aclosing(asking.call().adrive()) as deltas:  # type: ignore[type-var]  # likewise
                async for delta in deltas:
                    yield asking.heard(delta)

    def plan(self, request: Request, can: Capabilities | None = None) -> Plan:
        """Leave everything to the inner one."""
        return Plan(dataclasses.replace(request, stop=()))

    def replies_async(self) -> bool:
        """Say that `reply` never blocks."""
        return True

    def capabilities(self) -> Capabilities:
        """Return the inner one's."""
        return self.inner.capabilities()

    def source_name(self) -> str:
        """Return the inner one's, for errors."""
        return self.inner.source_name()

    def takes(self, name: str) -> bool:
        """Tell whether the inner one takes a parameter."""
        return self.inner.takes(name)

    def _takes(self, name: str) -> bool:
        return self.inner.takes(name)

    def explained(self, request: Request) -> dict[str, Any]:
        """Return the request as it is recorded and compared, without secrets."""
        asking = _Asking(self.in_force(), self.tape, request)
        hidden: dict[str, Any] = asking.secrets.hide(asking.body)
        return hidden

    def _run(self, config: RunnableConfig | None) -> Run:
        return self.inner._run(config)  # noqa: SLF001  what it calls is a child of this run

    def _resolve_model_profile(self) -> ModelProfile:
        return self.inner.profile or {}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return self.in_force()._get_llm_string(stop, **kwargs)  # noqa: SLF001  its own

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.in_force()._identifying_params  # noqa: SLF001  its own

    @property
    def _llm_type(self) -> str:
        return "chat-recorded"

    def _cost(self, usage: UsageMetadata, model: str) -> dict[str, Any] | None:
        return None  # the answer has its own

    def to_json(self) -> Any:
        """Say that a tape can't be loaded from a serialized form."""
        return {**self.to_json_not_implemented(), "name": self.get_name()}


class _Asking:
    """One request: replayed, or else live within a `with`, at whose end it is recorded."""

    def __init__(self, inner: ChatModel, tape: Tape, request: Request) -> None:
        given = {name: each for name, each in request.given.items() if name != "stop"}
        self._given = given
        self._inner = inner
        self._tape = tape
        self._model, self._asked = inner._asked(  # noqa: SLF001  what it would ask itself
            request.messages,
            request.given.get("stop"),
            given,
            request.config,
            streamed=request.streamed,
        )
        self.body = written(self._model, self._asked)
        self.is_live = False

    @property
    def secrets(self) -> Secrets:
        """What hides secrets: those that the model holds now, and the call's."""
        return Secrets(self._inner, self._given)

    def _hide(self, asked: Mapping[str, Any]) -> Any:
        return self.secrets.hide(asked)

    def replayed(self) -> Iterator[tuple[float, Delta]]:
        """Yield what is recorded, each with the seconds to wait before it; nothing, if it is live.

        Raises:
            CassetteError: It is not recorded, and not to be.
        """
        found = self._tape.take(self.body, self._hide)
        self.is_live = found is None
        if found is not None:
            yield from played(found, timing=self._tape.timing, where=self._tape.path)

    def call(self) -> Call[Delta]:
        """Return the call to drive, in the run and the context of the one that is recorded."""
        config = self._asked.config
        run = self._inner._run(config)  # noqa: SLF001  as it would make it
        handlers = getattr(config.get("callbacks"), "handlers", ())
        run.inside = next((each for each in handlers if isinstance(each, Inside)), run.inside)
        renderer = DeltaRenderer(holds_calls=not self._model.capabilities().tools)
        return Call(self._model, self._asked, renderer, run, ())

    def heard(self, delta: Delta) -> Delta:
        """Record the next delta."""
        self._take.add(delta)
        return delta

    def __enter__(self) -> Self:
        self._take = Take(self.body)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._take.end(error):
            self._tape.keep(self._take.exchange(self.secrets))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *raised: Any) -> None:  # noqa: PYI036  handed on
        await asyncio.to_thread(self.__exit__, *raised)
