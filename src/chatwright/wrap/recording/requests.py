"""A request as a cassette has it, and as requests are compared: OpenAI's form, without ids."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables.base import RunnableBindingBase
from pydantic import BaseModel, SecretBytes, SecretStr

from chatwright.errors import CassetteError, ContentError
from chatwright.langchain.abilities import Abilities
from chatwright.langchain.content import normalized
from chatwright.langchain.model import ChatModel
from chatwright.langchain.openai import as_openai
from chatwright.langchain.request import Request
from chatwright.wrap.recording.secrets import HIDDEN
from chatwright.wrap.runnable import ChatRunnable
from chatwright.wrap.runnable.chat_models import chat_models

__all__ = ["key_of", "read", "written"]

_SAMPLING = frozenset(
    {
        *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
        *("min_p", "n", "num_predict", "presence_penalty", "reasoning", "reasoning_effort"),
        *("repeat_penalty", "seed", "stop", "temperature", "thinking", "top_k", "top_logprobs"),
        *("top_p", "verbosity"),
    }
)
"""What of another package's model is compared, by the names that it tells LangChain."""
_EVERY_MEDIUM = frozenset({"audio", "file", "image", "video"})


def written(model: ChatModel, request: Request) -> dict[str, Any]:
    """Return a request as the body of one of OpenAI's, with all that may change the answer.

    Ids of tool calls are replaced by their numbers: models without ids get new ones by chance.

    Args:
        model: The model, with the call's values in its fields.
        request: What it is asked.

    Raises:
        CassetteError: A parameter is no JSON.
    """
    values: dict[str, Any] = {}
    if isinstance(model, ChatRunnable):
        values = {**_told(model.runnable), **_bound(model.runnable)}
    # Messages apart: `explained` refuses content that OpenAI has no form for.
    asked = Abilities.explained(model, dataclasses.replace(request, messages=()))
    values = {**values, **{name: each for name, each in asked.items() if each is not None}}
    if request.stop and not model.include_stop:
        values["include_stop"] = False
    body = {name: _plain(each, name) for name, each in values.items()}
    body["messages"] = read(request.messages)
    return body


def read(messages: Sequence[BaseMessage]) -> list[Any]:
    """Return messages as they are recorded: in OpenAI's form, calls called by their numbers."""
    return _numbered([each for message in messages for each in _written(message)])


def key_of(body: Mapping[str, Any]) -> str:
    """Return the text by which requests are compared and sorted."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def _written(message: BaseMessage) -> list[Any]:
    """Return a message in OpenAI's form; content that has none there is left as it is."""
    try:
        told = normalized([message], inputs=_EVERY_MEDIUM, keep_reasoning=True, model="OpenAI")
        made = as_openai(told)
    except ContentError:
        made = as_openai([message.model_copy(update={"content": ""})])
        made[0]["content"] = message.content
    return [_plain(each, f"a message of the {message.type}") for each in made]


def _told(runnable: Any) -> dict[str, Any]:
    """Return the parameters of another package's model, as it tells them for traces."""
    for model in chat_models(runnable)[:1]:
        told = {**model._identifying_params}  # noqa: SLF001  LangChain's way to ask
        return {name: told[name] for name in told.keys() & _SAMPLING if told[name] is not None}
    return {}


def _bound(runnable: Any) -> dict[str, Any]:
    if not isinstance(runnable, RunnableBindingBase):
        return {}
    return {**_bound(runnable.bound), **runnable.kwargs}


def _numbered(messages: list[Any]) -> list[Any]:
    """Return messages whose calls are called `call_1`, `call_2`, … as they come.

    A tool's result that does not say its tool's name gets it from the call.
    """
    names: dict[str, str] = {}
    tools: dict[str, str] = {}

    def named(found: str) -> str:
        return names.setdefault(found, f"call_{len(names) + 1}") if found else found

    for message in messages:
        for call in message.get("tool_calls") or ():
            call["id"] = named(call["id"])
            tools[call["id"]] = call["function"]["name"]
        if "tool_call_id" in message:
            message["tool_call_id"] = named(message["tool_call_id"])
            if tool := tools.get(message["tool_call_id"]):
                message.setdefault("name", tool)
    return messages


def _plain(value: Any, where: str) -> Any:
    """Return a value as JSON; a class by its name, a pydantic object by its fields.

    Raises:
        CassetteError: There is no JSON for it.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return HIDDEN
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(), where)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _plain(each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_plain(each, f"{where}[{n}]") for n, each in enumerate(ordered)]
    raise CassetteError(
        f"{where} is {value!r}, a {type(value).__name__}, by which no recorded request can be "
        "found again; set it on the model before it is recorded"
    )
