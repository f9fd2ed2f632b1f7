"""A chat model inside, behind bindings, retries and fallbacks too: it keeps what it can do."""

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.incoming import restored
from chatwright.langchain.request import Request
from chatwright.langchain.tools import chosen_name
from chatwright.wrap.runnable.adapter import EVERY_MEDIUM, Adapter

__all__ = ["ModelAdapter", "chat_models"]


def chat_models(runnable: Any) -> list[BaseChatModel]:
    """Return the chat models that a Runnable is, if it is nothing but such, wrapped or not."""
    if isinstance(runnable, BaseChatModel):
        return [runnable]
    if isinstance(runnable, RunnableBindingBase):
        return chat_models(runnable.bound)
    if isinstance(runnable, RunnableWithFallbacks):
        found = [chat_models(each) for each in (runnable.runnable, *runnable.fallbacks)]
        return [model for models in found for model in models] if all(found) else []
    return []


class ModelAdapter(Adapter):
    """A chat model as a source.

    Args:
        runnable: The model, or a binding of it.
    """

    def __init__(self, runnable: Runnable[Any, Any]) -> None:
        """Look at what the model can do."""
        self._runnable = runnable
        self._models = models = chat_models(runnable)
        params = models[0]._get_ls_params()  # noqa: SLF001  LangChain's way to ask
        super().__init__(
            params.get("ls_model_name") or type(models[0]).__name__,
            runs_sync=not any(_streams_only_async(each) for each in models),
            runs_async=any(_overrides(each, "_astream", "_agenerate") for each in models),
        )

    def capabilities(self) -> Capabilities:
        """Return what all the models do by themselves."""
        abilities = [_abilities(each) for each in self._models]
        return Capabilities(
            tools=all("tools" in each for each in abilities),
            tool_choice=all("tool_choice" in each for each in abilities),
            response_format=all("response_format" in each for each in abilities),
            inputs=EVERY_MEDIUM.inputs,
        )

    def profile(self) -> ModelProfile:
        """Return the first model's."""
        return self._models[0].profile or {}

    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Any]:
        """Yield chunks, or the whole answer where nobody wants pieces."""
        model, given = self._asked(request, fields)
        if not request.streamed:
            yield model.invoke(restored(request.messages), request.config, **given)
            return
        yield from model.stream(restored(request.messages), request.config, **given)

    async def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Do what `read` does."""
        model, given = self._asked(request, fields)
        if not request.streamed:
            yield await model.ainvoke(restored(request.messages), request.config, **given)
            return
        stream: Any = model.astream(restored(request.messages), request.config, **given)
        async with contextlib.aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    def _asked(
        self, request: Request, fields: Mapping[str, Any]
    ) -> tuple[Runnable[Any, Any], dict[str, Any]]:
        """Return the model, with tools and a format bound as it binds them, and the parameters."""
        bound: dict[str, Any] = {}
        if request.response_format is not None:
            bound["response_format"] = request.response_format
        if request.tool_choice is not None and request.tools:
            bound["tool_choice"] = _choice(request.tool_choice)
        model = self._runnable
        if request.tools:
            tools = [dict(each) for each in request.tools]
            model = _each(model, lambda each: each.bind_tools(tools, **bound))
        elif bound:
            model = _each(model, lambda each: each.bind(**bound))
        return model, {**fields, **request.parameters}


_BOUND = frozenset({"response_format", "tool_choice", "tools"})  # a call's come in their place


def _each(runnable: Any, bind: Callable[[BaseChatModel], Any]) -> Any:
    """Return the Runnable with each of its models bound; what is around them stays."""
    if isinstance(runnable, BaseChatModel):
        return bind(runnable)
    if isinstance(runnable, RunnableBindingBase):
        kept = {k: each for k, each in runnable.kwargs.items() if k not in _BOUND}
        return runnable.model_copy(update={"bound": _each(runnable.bound, bind), "kwargs": kept})
    return runnable.model_copy(
        update={
            "runnable": _each(runnable.runnable, bind),
            "fallbacks": [_each(each, bind) for each in runnable.fallbacks],
        }
    )


def _choice(choice: Any) -> Any:
    """Return a choice as `bind_tools` takes it: a tool's name, `any`, `auto` or `none`."""
    return chosen_name(choice) or ("any" if choice == "required" else choice)


def _abilities(model: BaseChatModel) -> Sequence[str]:
    profile = model.profile or {}
    if not _overrides(model, "bind_tools") or profile.get("tool_calling") is False:
        return ()
    abilities = ["tools"]
    if "tool_choice" in _parameters(type(model)) and profile.get("tool_choice") is not False:
        abilities.append("tool_choice")
    if profile.get("structured_output"):
        abilities.append("response_format")
    return abilities


@functools.cache
def _parameters(cls: type[BaseChatModel]) -> frozenset[str]:
    return frozenset(inspect.signature(cls.bind_tools).parameters)


def _overrides(model: BaseChatModel, *names: str) -> bool:
    return any(getattr(type(model), each) is not getattr(BaseChatModel, each) for each in names)


def _streams_only_async(model: BaseChatModel) -> bool:
    return _overrides(model, "_astream") and not _overrides(model, "_stream")
