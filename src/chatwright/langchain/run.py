"""The run of one call, and how what a source calls becomes a child of it.

LangChain tells a model's own methods who listens (`run_manager`), but for `stream` and `astream`,
and never what else a `RunnableConfig` holds. So `ChatModel`'s public methods do one thing more
than core's: they hand a `Run` on, which knows both.

Who hears of what: the answer's tokens and usage are told once, by the model's own run. Runs inside
of it are told to the same handlers, as children, but without tokens and usage, which would count
twice. Tracers, which keep runs apart, get them whole; handlers that show messages (LangGraph's)
get none. Where the source gives no usage, the answer has the sum of what the runs inside spent.
"""

import contextvars
import functools
import inspect
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langchain_core.tracers import _streaming, context
from langchain_core.tracers.base import BaseTracer
from langchain_core.utils.uuid import uuid7

__all__ = ["RUN", "Inside", "Run"]

RUN = "_chatwright_run"
"""The name by which a `Run` travels among a call's keyword arguments."""

_CHECKPOINTS = frozenset({"checkpoint_id", "checkpoint_map", "checkpoint_ns"})  # LangGraph's

_SHOWS_TOKENS = tuple(
    getattr(_streaming, name)
    for name in ("_StreamingCallbackHandler", "_V2StreamingCallbackHandler")
    if hasattr(_streaming, name)
)


class Run:
    """The run of one call.

    Args:
        config: What the caller gave.
        counts: Whether what the runs inside spend is added up.
        hands_config_on: Whether the source gives its config to whatever it calls.
    """

    __slots__ = ("_counts", "_hands_config_on", "_manager", "config", "heard", "inside")

    def __init__(
        self, config: RunnableConfig | None, *, counts: bool = True, hands_config_on: bool = False
    ) -> None:
        """Take what is in force here for what the caller did not give."""
        self._hands_config_on = hands_config_on
        self._counts = counts
        self.config = ensure_config(config)
        self._manager: CallbackManager | None = None
        self.heard: Sequence[BaseCallbackHandler] = ()  # who listens to the run itself
        self.inside = Inside()

    def streamed(self) -> RunnableConfig:
        """Return the config to stream with: `_stream` is not told of its run, so it is made here.

        Tracers that the environment asks for are made here too, so that runs inside have the same.
        """
        manager = CallbackManager.configure(self.config.get("callbacks"))
        run_id = self.config.get("run_id") or uuid7()
        self._manager = self._child(manager, run_id, self.config["tags"])
        return {**self.config, "callbacks": manager, "run_id": run_id}

    def chosen(self) -> dict[str, Any]:
        """Return what of `configurable` the user chose, and no framework put there."""
        chosen = self.config.get("configurable") or {}
        ours = {key: each for key, each in chosen.items() if not key.startswith("__")}
        return {key: each for key, each in ours.items() if key not in _CHECKPOINTS}

    def begun(self, run_manager: Any) -> None:
        """Learn of the run's own manager, where core tells it."""
        if run_manager is not None and self._manager is None:
            self._manager = self._child(run_manager, run_manager.run_id)

    def within(self) -> RunnableConfig:
        """Return the config for what the source calls."""
        if self._manager is None:  # one of the methods behind the public ones was called
            return self.config
        config: RunnableConfig = {**self.config, "callbacks": self._manager}
        config.pop("run_id", None)
        config.pop("run_name", None)
        return config

    def _child(self, manager: Any, run_id: uuid.UUID, tags: Sequence[str] = ()) -> CallbackManager:
        """Return the manager of the runs inside of a run."""
        self.heard = manager.handlers
        handlers = [*_heard(manager.inheritable_handlers)]
        if self._counts:
            handlers.append(self.inside)
        tags = [*manager.inheritable_tags, *tags]
        told = manager.inheritable_metadata.items()
        metadata = {key: each for key, each in told if not key.startswith("ls_")}
        return CallbackManager(
            handlers,
            handlers.copy(),
            run_id,
            tags=tags,
            inheritable_tags=tags.copy(),
            metadata=metadata,
            inheritable_metadata=metadata.copy(),
        )

    def scope(self, config: RunnableConfig) -> list[tuple[contextvars.ContextVar[Any], Any]]:
        """Return the context variables by which what is called inside finds its config."""
        scope: list[tuple[contextvars.ContextVar[Any], Any]] = []
        if not self._hands_config_on:
            scope.append((var_child_runnable_config, config))
        heard = getattr(config.get("callbacks"), "handlers", ())
        for handler in heard:
            if isinstance(handler, _Quiet):
                scope += handler.hooks()
            elif isinstance(handler, BaseTracer):
                scope += _traced(config)
        return scope


def _heard(handlers: Sequence[BaseCallbackHandler]) -> Iterator[BaseCallbackHandler]:
    """Yield who hears of the runs inside, and as what."""
    for each in handlers:
        if isinstance(each, Inside):
            continue  # the outer answer has that of this one
        shows = isinstance(each, _SHOWS_TOKENS)
        if shows and not type(each).__module__.startswith("langchain_core."):
            continue  # it shows messages, and the answer is one already
        yield each if isinstance(each, BaseTracer) and not shows else _Quiet(each)


def _traced(config: RunnableConfig) -> list[tuple[contextvars.ContextVar[Any], Any]]:
    """Return what LangSmith's `traceable` looks at."""
    from langchain_core.runnables.config import _set_config_context  # noqa: PLC0415  imports langsmith

    there = contextvars.copy_context()
    before = dict(there)
    there.run(_set_config_context, config)
    return [(key, value) for key, value in there.items() if before.get(key, before) is not value]


class Inside(BaseCallbackHandler):
    """Adds up what the models inside of a source spent."""

    run_inline = True  # it never blocks

    def __init__(self) -> None:
        """Start at nothing."""
        self.usage: UsageMetadata | None = None
        self.models: set[str] = set()
        self._known = True
        self._lock = threading.Lock()

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Need nothing of it; core's own raises."""

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add one answer; where one tells no usage, the sum is not known."""
        for generation in (each for group in response.generations[:1] for each in group[:1]):
            message = getattr(generation, "message", None)
            usage = getattr(message, "usage_metadata", None)
            metadata = getattr(message, "response_metadata", {})
            with self._lock:
                self._known = self._known and usage is not None
                self.models.add(str(metadata.get("model_name", "")))
                self.usage = add_usage(self.usage, usage) if self._known else None


class _Quiet(BaseCallbackHandler):
    """A handler that hears of runs, but neither of their tokens nor of what they spent."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self._handler = handler

    def __getattribute__(self, name: str) -> Any:
        if not (name.startswith(("on_", "ignore_")) or name in {"raise_error", "run_inline"}):
            return super().__getattribute__(name)
        told = getattr(super().__getattribute__("_handler"), name)
        if name in {"on_llm_new_token", "on_stream_event"}:
            return _ahear_nothing if inspect.iscoroutinefunction(told) else _hear_nothing
        return _without_usage(told) if name == "on_llm_end" else told

    def hooks(self) -> list[tuple[contextvars.ContextVar[Any], Any]]:
        """Return the variables by which core would add the handler itself beside this one."""
        hooks = [each[0] for each in getattr(context, "_configure_hooks", ())]
        return [(variable, self) for variable in hooks if variable.get() is self._handler]


def _hear_nothing(*args: Any, **kwargs: Any) -> None:
    pass


async def _ahear_nothing(*args: Any, **kwargs: Any) -> None:
    pass


def _without_usage(told: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(told):

        @functools.wraps(told)
        async def atell(response: LLMResult, **kwargs: Any) -> None:
            await told(_unspent(response), **kwargs)

        return atell

    @functools.wraps(told)
    def tell(response: LLMResult, **kwargs: Any) -> Any:
        return told(_unspent(response), **kwargs)

    return tell


def _unspent(response: LLMResult) -> LLMResult:
    """Return what a model answered without what it spent."""
    generations = [[_without(each) for each in group] for group in response.generations]
    return response.model_copy(update={"generations": generations, "llm_output": None})


def _without(generation: Any) -> Any:
    message: BaseMessage | None = getattr(generation, "message", None)
    if not isinstance(message, AIMessage):
        return generation
    metadata: Mapping[str, Any] = message.response_metadata
    kept = {k: v for k, v in metadata.items() if k not in {"cost", "token_usage", "usage"}}
    bare = message.model_copy(update={"usage_metadata": None, "response_metadata": kept})
    return generation.model_copy(update={"message": bare})
