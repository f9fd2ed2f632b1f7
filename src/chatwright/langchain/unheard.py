"""Calls that nobody listens to: half of what core takes for them is work for listeners.

`BaseChatModel.invoke` describes a call, for callbacks and tracers, before and after it (130 of its
190 µs, langchain-core 1.8). Where there is neither a callback nor a tracer, nor code that has put
itself in the place of core's own, nothing of that is seen by anybody, and it is left out.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, chat_models
from langchain_core.language_models._utils import _normalize_messages
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7

__all__ = [
    "Unheard",
    "UnheardStream",
    "aquietly",
    "has_detours",
    "identified",
    "is_unheard",
    "unheard",
]

_WAY = (
    *("invoke", "generate_prompt", "generate", "stream"),
    *("ainvoke", "agenerate_prompt", "agenerate", "astream"),
)
"""The methods that are left out."""
_CORES = {name: getattr(BaseChatModel, name) for name in _WAY}
_ARE_CORES = all(
    getattr(getattr(each, "__code__", None), "co_filename", "") == chat_models.__file__
    for each in _CORES.values()
)
"""Whether they were core's own when this was imported: who instruments LangChain may come first."""

_FOR_TRACES = frozenset({"ls_structured_output_format", "structured_output_format"})
"""Parameters that core takes out, for they are told to tracers alone."""


def _is_cores(model: type[BaseChatModel]) -> bool:
    """Tell whether what is left out is core's own code, neither patched nor overridden."""
    base = BaseChatModel
    return (
        _ARE_CORES
        and base.invoke is _CORES["invoke"]
        and base.ainvoke is _CORES["ainvoke"]
        and base.stream is _CORES["stream"]
        and base.astream is _CORES["astream"]
        and model.generate is _CORES["generate"]
        and model.agenerate is _CORES["agenerate"]
        and model.generate_prompt is _CORES["generate_prompt"]
        and model.agenerate_prompt is _CORES["agenerate_prompt"]
    )


class Unheard(NamedTuple):
    """What core hands to a model's own methods in a call that nobody listens to.

    Args:
        messages: The messages.
        manager: The manager of the call's run.
        parameters: The call's parameters.
    """

    messages: list[BaseMessage]
    manager: Any
    parameters: dict[str, Any]


def unheard(
    model: BaseChatModel,
    asked: Any,
    config: RunnableConfig,
    parameters: dict[str, Any],
    kind: type[CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun],
) -> Unheard | None:
    """Return what core hands to `_generate` if nobody listens to a call; None if somebody does.

    Args:
        model: The model.
        asked: What the call is given.
        config: Its whole config; a `run_id` is taken out.
        parameters: Its parameters.
        kind: The manager's class: sync or async.
    """
    if (heard := _listeners(model, config)) is None:
        return None
    manager = kind(
        run_id=config.pop("run_id", None) or uuid7(),
        handlers=[],
        inheritable_handlers=[],
        parent_run_id=heard.parent_run_id,
        tags=heard.tags,
        inheritable_tags=heard.inheritable_tags,
        metadata=heard.metadata,
        inheritable_metadata=heard.inheritable_metadata,
    )
    if not _FOR_TRACES.isdisjoint(parameters):
        parameters = {k: v for k, v in parameters.items() if k not in _FOR_TRACES}
    return Unheard(_messages(model, asked), manager, parameters)


def _listeners(model: BaseChatModel, config: RunnableConfig) -> CallbackManager | None:
    """Return the manager of a call that nobody listens to, and None if somebody does."""
    if not _is_cores(type(model)):
        return None
    given, metadata = config.get("callbacks"), config.get("metadata")
    own = model.metadata
    is_alone = not given and not metadata
    heard = CallbackManager.configure(
        given,
        model.callbacks,
        model.verbose,
        config.get("tags"),
        model.tags,
        metadata,
        None if is_alone else own,
    )
    if heard.handlers:
        return None
    if is_alone and own:  # what core would merge it with: at most a tracing context's
        heard.metadata = {**own, **heard.metadata}
    return heard


def _messages(model: BaseChatModel, asked: Any) -> list[BaseMessage]:
    if type(asked) is str and type(model)._convert_input is BaseChatModel._convert_input:  # noqa: SLF001  core's
        return [HumanMessage(asked)]
    return _normalize_messages(model._convert_input(asked).to_messages())  # noqa: SLF001  core's own way


class UnheardStream:
    """A stream that nobody listens to but its caller: what core makes of the chunks.

    Args:
        model: A `ChatModel`.
        run_id: The run's id.
    """

    def __init__(self, model: Any, run_id: uuid.UUID) -> None:
        """Begin with nothing."""
        self._model = model
        self._id = f"{LC_ID_PREFIX}-{run_id}"
        self._last: AIMessageChunk | None = None

    @classmethod
    def of(
        cls, model: Any, config: RunnableConfig, parameters: Mapping[str, Any], *, is_async: bool
    ) -> "UnheardStream | None":
        """Return one for a call; None where somebody listens, or core has more to do.

        Args:
            model: A `ChatModel`.
            config: The call's whole config, with a `run_id`.
            parameters: The call's parameters.
            is_async: Whether it is async.
        """
        streams = model._should_stream(async_api=is_async, **{**parameters, "stream": True})  # noqa: SLF001  core's own
        is_plain = streams and not model.rate_limiter and model.output_version != "v1"
        if not is_plain or _listeners(model, config) is None:
            return None
        return cls(model, config["run_id"])  # type: ignore[arg-type]  # it has one

    def drive(
        self, way: Callable[..., Any], asked: Any, stop: list[str] | None, told: Mapping[str, Any]
    ) -> Iterator[AIMessageChunk]:
        """Yield the chunks of a model's `_stream` as the caller gets them.

        Args:
            way: The method.
            asked: What the call is given.
            stop: The stop sequences.
            told: The call's other parameters.
        """
        chunks = self._asked(way, asked, stop, told)
        try:
            for chunk in chunks:
                yield self._fed(chunk)
        finally:
            if close := getattr(chunks, "close", None):
                close()
        yield from self._end()

    async def adrive(
        self, way: Callable[..., Any], asked: Any, stop: list[str] | None, told: Mapping[str, Any]
    ) -> AsyncIterator[AIMessageChunk]:
        """Yield the chunks of a model's `_astream`, as `drive` does."""
        chunks = self._asked(way, asked, stop, told)
        try:
            async for chunk in chunks:
                yield self._fed(chunk)
        finally:
            if close := getattr(chunks, "aclose", None):
                await close()
        for last in self._end():
            yield last

    def _asked(
        self, way: Callable[..., Any], asked: Any, stop: list[str] | None, told: Mapping[str, Any]
    ) -> Any:
        given = {name: each for name, each in told.items() if name not in _FOR_TRACES}
        return way(_messages(self._model, asked), stop=stop, **given)

    def _fed(self, chunk: ChatGenerationChunk) -> AIMessageChunk:
        """Return a chunk as the caller gets it."""
        message: AIMessageChunk = chunk.message  # type: ignore[assignment]  # ours are
        if message.id is None:
            _name(message, self._id)
        if chunk.generation_info:
            message.response_metadata = {**chunk.generation_info, **message.response_metadata}
        self._last = message
        return message

    def _end(self) -> list[AIMessageChunk]:
        """Return the chunk that says that nothing more comes, if none has.

        Raises:
            ValueError: There was none at all.
        """
        if self._last is None:
            raise ValueError("No generation chunks were returned")
        if self._last.chunk_position:
            return []
        empty: Any = "" if isinstance(self._last.content, str) else []
        return [AIMessageChunk(content=empty, chunk_position="last", id=self._id)]


def is_unheard(model: BaseChatModel) -> bool:
    """Tell whether nobody would listen to calls of a model here and now.

    Args:
        model: The model.
    """
    return unheard(model, "", ensure_config(), {}, AsyncCallbackManagerForLLMRun) is not None


def has_detours(model: Any, parameters: Mapping[str, Any]) -> bool:
    """Tell whether core does anything around a model's answer in a call that nobody listens to.

    Args:
        model: A `ChatModel`.
        parameters: The call's parameters.
    """
    cache = (
        get_llm_cache() if model.cache is None else model.cache
    )  # one may be empty, and so false
    has_cache = cache is not None and cache is not False
    streams = model.streaming or model.disable_streaming or "stream" in parameters
    return bool(has_cache or streams or model.rate_limiter)


def identified(message: AIMessage, run_id: uuid.UUID) -> AIMessage:
    """Return an answer with the id that core gives it."""
    if message.id is None:
        _name(message, f"{LC_ID_PREFIX}-{run_id}-0")
    return message


def _name(message: AIMessage, its_id: str) -> None:
    """Set a message's id past pydantic, which takes a tenth of a token's time for it."""
    message.__dict__["id"] = its_id
    message.__pydantic_fields_set__.add("id")


async def aquietly(
    model: Any, messages: list[BaseMessage], stop: list[str] | None, parameters: dict[str, Any]
) -> AIMessage:
    """Answer one of many calls of which it is known that nobody listens: `unheard` has said so.

    Args:
        model: A `ChatModel`.
        messages: The messages.
        stop: The stop sequences.
        parameters: The call's other parameters.
    """
    manager = AsyncCallbackManagerForLLMRun(run_id=uuid7(), handlers=[], inheritable_handlers=[])
    answer: AIMessage = await model._answer(messages, manager, parameters, stop)  # noqa: SLF001  ours
    return answer
