"""`chat_model`: a Python function as a chat model."""

import contextlib
import functools
import importlib
import inspect
import itertools
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self, overload

from pydantic import Field, model_validator

from chatwright.core.bridge import is_async
from chatwright.errors import DefinitionError, LoadError
from chatwright.langchain.capabilities import Capabilities, Medium
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
_FROM_FIELDS: Mapping[str, str] = {
    "api_key": "api_key",
    "max_retries": "max_retries",
    "max_tokens": "max_tokens",
    "model": "model_name",
    "model_name": "model_name",
    "seed": "seed",
    "temperature": "temperature",
    "timeout": "timeout",
    "top_p": "top_p",
}
_SUPPLIED = _FROM_REQUEST.keys() | _FROM_FIELDS.keys()


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

    inputs: frozenset[Medium] = frozenset()
    """Content beside text that the function reads: `image`, `audio`, `video`, `file`."""

    fixed = ChatModel.fixed | {"function", "inputs"}

    @model_validator(mode="before")
    @classmethod
    def _adopt(cls, values: Any) -> Any:
        """Take name and defaults over from the function's signature."""
        if not isinstance(values, dict) or "function" not in values:
            return values
        function = values["function"]
        if isinstance(function, str):
            function = _registered(function)
        defaults = {
            _FROM_FIELDS[name]: parameter.default
            for name, parameter in _parameters(function).items()
            if name in _FROM_FIELDS and parameter.default is not parameter.empty
        }
        name = _name(function)
        return {"model_name": name, "name": name, **defaults, **values, "function": function}

    @model_validator(mode="after")
    def _look_like_the_function(self) -> Self:
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
            if value := getattr(self.function, attribute, None):
                self.__dict__[attribute] = value
        _functions[self._reference] = self.function
        return self

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function, where `inspect` looks for it."""
        return self.function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it had never been wrapped."""
        return self.function(*args, **kwargs)

    def reply(self, request: Request) -> Any:
        """Call the function with what it names."""
        given: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            if name in _FROM_REQUEST:
                given[name] = _FROM_REQUEST[name](request)
            elif name in _FROM_FIELDS:
                given[name] = getattr(self, _FROM_FIELDS[name])
            elif parameter.kind is parameter.VAR_KEYWORD:
                given = {**request.parameters, **given}
            elif name in request.parameters:
                given[name] = request.parameters[name]
        return self.function(**given)

    def replies_async(self) -> bool:
        """Tell whether the function is a coroutine function or an async generator function."""
        return self._runs_async

    @functools.cached_property
    def _runs_async(self) -> bool:
        return is_async(self.function)

    def capabilities(self) -> Capabilities:
        """Return what the function names: `tools`, `tool_choice`, `response_format`."""
        return _capabilities(frozenset(self._parameters), self.inputs)

    def source_name(self) -> str:
        """Return the function's name, for errors."""
        return f"{_name(self.function)}()"

    @functools.cached_property
    def _reference(self) -> str:
        return _new_reference(self.function)

    @functools.cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return _parameters(self.function)

    def _accepted(self) -> frozenset[str]:
        kinds = self._parameters.items()
        return frozenset(name for name, each in kinds if each.kind in _NAMED) - _SUPPLIED

    def _takes(self, name: str) -> bool:
        kinds = self._parameters.values()
        return super()._takes(name) or any(each.kind is each.VAR_KEYWORD for each in kinds)

    @property
    def _llm_type(self) -> str:
        return "chat-function"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "function": self._reference}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize the function by its name; `load` finds it where it has been made a model."""
        inputs = {"inputs": sorted(self.inputs)} if self.inputs else {}
        return {**super().lc_attributes, "function": self._reference, **inputs}

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the function by name, where its name leads back to it."""
        state = super().__getstate__()
        fields = {key: value for key, value in state["__dict__"].items() if key not in _DERIVED}
        return {**state, "__dict__": {**fields, "function": _Named(self.function)}}


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
    return ChatFunction(function=function, **fields)


_DERIVED = frozenset({"_parameters", "_reference", "_runs_async"})
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(function: object) -> Mapping[str, inspect.Parameter]:
    """Return the function's parameters.

    Raises:
        DefinitionError: It is no function, or its parameters do not fit.
    """
    if not callable(function) or isinstance(function, type):
        raise DefinitionError(f"chat_model makes models of functions, not of {function!r}")
    name = _name(function)
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{name}() has no signature that Python can read: {error}") from error
    for each in parameters.values():
        if problem := _problem(name, each):
            raise DefinitionError(f"{name}() {problem}")
    if "messages" not in parameters:
        raise DefinitionError(f"{name}() takes no 'messages'; add it: def {name}(messages, ...)")
    return parameters


@functools.lru_cache
def _capabilities(names: frozenset[str], inputs: frozenset[Medium]) -> Capabilities:
    return Capabilities(
        tools="tools" in names,
        tool_choice="tool_choice" in names,
        response_format="response_format" in names,
        inputs=inputs,
    )


def _problem(function: str, parameter: inspect.Parameter) -> str | None:
    """Return what is wrong with one parameter and what mends it."""
    name, kind = parameter.name, parameter.kind
    if kind is parameter.VAR_KEYWORD:
        return None
    if kind is parameter.VAR_POSITIONAL:
        return f"takes '*{name}', but everything is given by name; name what it needs instead"
    if kind is parameter.POSITIONAL_ONLY:
        return f"takes '{name}' by position only, but everything is given by name; drop the '/'"
    if name == "self":
        return f"takes 'self'; wrap the bound method instead: chat_model(object.{function})"
    if name not in _SUPPLIED and parameter.default is parameter.empty:
        return (
            f"needs '{name}', which no call supplies; give it a default, or use one of "
            f"{', '.join(sorted(_SUPPLIED))}"
        )
    return None


def _name(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _path(function: object) -> tuple[str, str]:
    """Return the module and the qualified name that a function says it has."""
    kind = type(function)
    return (
        getattr(function, "__module__", None) or kind.__module__,
        getattr(function, "__qualname__", kind.__qualname__),
    )


def _new_reference(function: object) -> str:
    """Return a str that stands for this function and no other, as long as the process lives.

    It is the function's name, which is the same in another process, unless that has been taken: by
    a definition that this one replaces, or by one that it wraps. A closure and a bound method hold
    state beside their name, so that they never get a bare one.
    """
    module, path = _path(function)
    name = f"{module}:{path}"
    with _references_lock:
        if inspect.isfunction(function) and function in _references:
            return _references[function]
        bare = inspect.isfunction(function) and "<" not in path and name not in _taken
        reference = name if bare else f"{name}@{next(_serial)}"
        _taken.add(name)
        if inspect.isfunction(function):
            _references[function] = reference
        return reference


_references: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()
_references_lock = threading.Lock()
_taken: set[str] = set()
_serial = itertools.count(1)
_functions: weakref.WeakValueDictionary[str, Callable[..., Any]] = weakref.WeakValueDictionary()


def _registered(reference: str) -> Callable[..., Any]:
    """Return the function that was made a model under this reference. Nothing is imported.

    Raises:
        LoadError: There is none in this process.
    """
    try:
        return _functions[reference]
    except KeyError:
        raise LoadError(
            f"no function {reference!r} has been made a chat model in this process; import its "
            "module first"
        ) from None


class _Named:
    """Pickles a function by its name, as pickle would if the name were not the model's now."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        module, path = _path(self._function)
        with contextlib.suppress(ImportError, AttributeError):
            if module != "__main__" and _function_named(module, path) is self._function:
                return _function_named, (module, path)
        with contextlib.suppress(ImportError):  # __main__ is another module in a worker process
            import cloudpickle  # noqa: PLC0415  only where one is installed

            return cloudpickle.loads, (cloudpickle.dumps(self._function),)
        if module == "__main__":
            return _function_named, (module, path)
        return _itself, (self._function,)


def _function_named(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found.function if isinstance(found, ChatFunction) else found


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
