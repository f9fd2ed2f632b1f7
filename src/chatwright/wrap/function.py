"""`chat_model`: a Python function as a chat model."""

import functools
import inspect
import pickle
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self, overload

from pydantic import Field, model_validator

from chatwright.core.bridge import is_async
from chatwright.errors import DefinitionError, LoadError
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request

__all__ = ["ChatFunction", "chat_model"]

_FROM_REQUEST: Mapping[str, Callable[[Request], Any]] = {
    "messages": lambda request: list(request.messages),
    "response_format": lambda request: request.response_format,
    "stop": lambda request: list(request.stop),
    "tool_choice": lambda request: request.tool_choice,
    "tools": lambda request: request.tools,
}
_FROM_FIELDS = frozenset(
    {"api_key", "max_retries", "max_tokens", "model_name", "seed", "temperature", "timeout", "top_p"}
)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ChatFunction(ChatModel):
    """A chat model made of a function; `chat_model` makes them.

    The function gets what it names in its signature: `messages` (a list of LangChain messages),
    `stop`, `tools`, `tool_choice`, `response_format`, and the model's fields `temperature`,
    `max_tokens`, `top_p`, `seed`, `timeout`, `max_retries`, `model_name` and `api_key`. Each other
    parameter needs a default and becomes a call parameter, which `bind` and `invoke` can set; a
    `**kwargs` takes whatever else a call gives.

    Calling the model calls the function itself.

    Raises:
        DefinitionError: The function's signature does not fit.
    """

    function: Callable[..., Any] = Field(exclude=True)
    """The function."""

    fixed = ChatModel.fixed | {"function"}

    @model_validator(mode="before")
    @classmethod
    def _adopt(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take name and defaults over from the function's signature."""
        function = values.get("function")
        if isinstance(function, str):
            values["function"] = function = _registered(function)
        if not callable(function):
            return values
        for name, parameter in _parameters(function).items():
            if name in _FROM_FIELDS and parameter.default is not parameter.empty:
                values.setdefault(name, parameter.default)
        values.setdefault("model_name", _name(function))
        values.setdefault("name", _name(function))
        return values

    @model_validator(mode="after")
    def _look_like_the_function(self) -> Self:
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
            value = getattr(self.function, attribute, None)
            if value is not None:
                self.__dict__[attribute] = value
        self.__dict__["__wrapped__"] = self.function
        _models[_reference(self.function)] = self
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it had never been wrapped."""
        return self.function(*args, **kwargs)

    def reply(self, request: Request) -> Any:
        """Call the function with what it names."""
        given: dict[str, Any] = {}
        for name, parameter in _parameters(self.function).items():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= {k: v for k, v in request.parameters.items() if k not in given}
            elif name in _FROM_REQUEST:
                given[name] = _FROM_REQUEST[name](request)
            elif name in _FROM_FIELDS:
                given[name] = getattr(self, name)
            elif name in request.parameters:
                given[name] = request.parameters[name]
        return self._checked(self.function(**given))

    def _checked(self, result: Any) -> Any:
        if result is None:
            raise DefinitionError(
                f"{self.source_name()} returned None; return a str ('' for an empty answer)"
            )
        return result

    def replies_async(self) -> bool:
        """Tell whether the function is a coroutine function or an async generator function."""
        return is_async(self.function)

    def source_name(self) -> str:
        """Return the function's name, for errors."""
        return f"{_name(self.function)}()"

    def _accepted(self) -> frozenset[str]:
        return _accepted(self.function)

    @property
    def _llm_type(self) -> str:
        return "chat-function"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "function": _reference(self.function)}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize the function by its name: `load` finds it among the decorated ones."""
        return {"function": _reference(self.function)}

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the function by its name where it has one that leads back to it."""
        state = super().__getstate__()
        fields = {**state["__dict__"], "function": _Reduced(self.function)}
        fields.pop("__wrapped__", None)
        return {**state, "__dict__": fields}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take the function back."""
        super().__setstate__(state)
        if isinstance(self.function, _Reduced):
            self.__dict__["function"] = self.function.function
        self.__dict__["__wrapped__"] = self.function


@overload
def chat_model(function: Callable[..., Any], /) -> ChatFunction: ...
@overload
def chat_model(**fields: Any) -> Callable[[Callable[..., Any]], ChatFunction]: ...
def chat_model(
    function: Callable[..., Any] | None = None, /, **fields: Any
) -> ChatFunction | Callable[[Callable[..., Any]], ChatFunction]:
    """Make a function a LangChain chat model.

    Four kinds of callable will do: a function that returns the answer, one that yields it, a
    coroutine function, an async generator function. It may yield `str` or the deltas `Text`,
    `Reasoning`, `ToolCallDelta`, `Usage` and `Finish`.

    Args:
        function: The function; `messages` must be among its parameters.
        **fields: Fields of `ChatFunction`, such as `model_name`, `temperature` or `price`.

    Returns:
        The chat model; or, called with `fields` only, a decorator that makes one.

    Raises:
        DefinitionError: The function's signature does not fit.
        pydantic.ValidationError: A field that does not exist, or a value that it does not take.

    Example:
        ```python
        @chat_model
        def shout(messages, *, temperature: float = 0.0):
            \"\"\"Repeats the last message in capitals.\"\"\"
            for word in messages[-1].text.split():
                yield word.upper() + " "

        shout.invoke("hello there").text  # 'HELLO THERE '
        ```
    """
    if function is None:
        return functools.partial(chat_model, **fields)
    if not callable(function) or isinstance(function, type):
        raise DefinitionError(f"chat_model makes models of functions, not of {function!r}")
    _parameters(function)
    return ChatFunction(function=function, **fields)


@functools.cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the function's parameters.

    Raises:
        DefinitionError: They do not fit.
    """
    name = _name(function)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{name}() has no signature to read: {error}") from error
    for each in parameters.values():
        known = each.name in _FROM_REQUEST or each.name in _FROM_FIELDS
        if each.kind is each.VAR_KEYWORD:
            continue
        if each.kind not in _NAMED:
            shown = f"*{each.name}" if each.kind is each.VAR_POSITIONAL else f"{each.name}, /"
            raise DefinitionError(
                f"{name}() takes {shown!r}; arguments are given by name: take messages and what "
                "else it needs as ordinary parameters"
            )
        if each.name == "self":
            raise DefinitionError(
                f"{name}() takes 'self'; wrap the bound method instead: chat_model(obj.{name})"
            )
        if not known and each.default is each.empty:
            names = ", ".join([*_FROM_REQUEST, *sorted(_FROM_FIELDS)])
            raise DefinitionError(
                f"{name}() needs {each.name!r}, which no call supplies; give it a default, or use "
                f"one of: {names}"
            )
    if "messages" not in parameters:
        raise DefinitionError(f"{name}() takes no 'messages'; add it: def {name}(messages, ...)")
    return parameters


@functools.cache
def _accepted(function: Callable[..., Any]) -> frozenset[str]:
    parameters = _parameters(function).values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return _Anything()
    return frozenset(
        each.name
        for each in parameters
        if each.name not in _FROM_REQUEST and each.name not in _FROM_FIELDS
    )
