"""Calls that nobody listens to: half of what core takes for them is work for listeners.

`BaseChatModel.invoke` describes a call, for callbacks and tracers, before and after it (130 of its
190 µs, langchain-core 1.8). Where there is neither a callback nor a tracer, nor code that has put
itself in the place of core's own, nothing of that is seen by anybody, and it is left out.
"""

from typing import Any, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, chat_models
from langchain_core.language_models._utils import _normalize_messages
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7

__all__ = ["Unheard", "aquietly", "is_unheard", "unheard"]

_WAY = ("invoke", "generate_prompt", "generate", "ainvoke", "agenerate_prompt", "agenerate")
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
        and model.generate is _CORES["generate"]
        and model.agenerate is _CORES["agenerate"]
        and model.generate_prompt is _CORES["generate_prompt"]
        and model.agenerate_prompt is _CORES["agenerate_prompt"]
    )


class Unheard(NamedTuple):
    """What core hands to `_generate` in a call that nobody listens to.

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
    if not _is_cores(type(model)):
        return None
    heard = CallbackManager.configure(
        config.get("callbacks"),
        model.callbacks,
        model.verbose,
        config.get("tags"),
        model.tags,
        config.get("metadata"),
        model.metadata,
    )
    if heard.handlers:
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
    messages = model._convert_input(asked).to_messages()  # noqa: SLF001  core's own way
    talk = _normalize_messages(messages)
    if not _FOR_TRACES.isdisjoint(parameters):
        parameters = {k: v for k, v in parameters.items() if k not in _FOR_TRACES}
    return Unheard(talk, manager, parameters)


def is_unheard(model: BaseChatModel) -> bool:
    """Tell whether nobody would listen to calls of a model here and now.

    Args:
        model: The model.
    """
    return unheard(model, "", ensure_config(), {}, AsyncCallbackManagerForLLMRun) is not None


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
    run_id = uuid7()
    manager = AsyncCallbackManagerForLLMRun(run_id=run_id, handlers=[], inheritable_handlers=[])
    has_cache = model.cache is not False and (model.cache or get_llm_cache() is not None)
    if has_cache or model.rate_limiter or model.streaming or model.disable_streaming:
        result = await model._agenerate_with_cache(messages, stop, manager, **parameters)  # noqa: SLF001  ours
    else:
        result = await model._agenerate(messages, stop, manager, **parameters)  # noqa: SLF001  likewise
    message: AIMessage = result.generations[0].message
    if message.id is None:
        message.id = f"{LC_ID_PREFIX}-{run_id}-0"
    return message
