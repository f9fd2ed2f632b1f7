"""`chat_model`: a Python function as a chat model."""

import contextlib
import functools
import importlib
import inspect
import itertools
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, overload

from langchain_core.runnables import Runnable
from pydantic import Field, model_validator

from chatwright.core.bridge import is_async
from chatwright.errors import DefinitionError, LoadError
from chatwright.langchain.capabilities import Capabilities, Medium
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request
from chatwright.langchain.settings import PLUMBING, TRACING
from chatwright.wrap.runnable import ChatRunnable

__all__ = ["ChatFunction", "chat_model"]

_FROM_REQUEST: Mapping[str, Callable[[Request], Any]] = {
    "config": lambda request: request.config,
    "messages": lambda request: list(request.messages),
    "response_format": lambda request: request.response_format,
    "stop": lambda request: list(request.stop) or None,
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
_NEVER_SET = TRACING | {
    *("callbacks", "input", "metadata", "prompts", "run_id", "run_manager", "run_name", "tags")
}
"""Names that LangChain takes out of a call, or that it calls its own methods with."""


class ChatFunction(ChatModel):
    """A chat model made of a function; `chat_model` makes them.

    The function gets what it names in its signature: `messages` (a list of LangChain messages),
    `stop`, `tools`, `tool_choice`, `response_format`, `config` (the `RunnableConfig` of its run),
    and the model's fields `temperature`, `max_tokens`, `top_p`, `seed`, `timeout`, `max_retries`,
    `model_name` and `api_key`. Each other parameter needs a default and becomes a call parameter,
    which `bind` and `invoke` can set; a `**kwargs` takes whatever else a call gives, as it gives it
    (tools too, which are taught in the prompt all the same, unless the function names `tools`).

    Calling the model calls the function itself.

    Raises:
        DefinitionError: The function's signature does not fit.
    """

    function: Callable[..., Any] = Field(exclude=True)
    """The function."""

    inputs: frozenset[Medium] = frozenset()
    """Content beside text that the function reads: `image`, `audio`, `video`, `file`."""

    fixed = ChatModel.fixed | {"function", "inputs"}
    lasting = ChatModel.lasting | {"_parameters", "_reference", "_runs_async"}

    def __init__(self, function: Callable[..., Any] | None = None, **fields: Any) -> None:
        """Take the function by position, too."""
        super().__init__(**({} if function is None else {"function": function}), **fields)

    @model_validator(mode="before")
    @classmethod
    def _adopt(cls, values: Any) -> Any:
        """Take name and defaults over from the function's signature."""
        own = cls.model_fields["function"]  # a subclass may have one, and names itself
        if not isinstance(values, dict) or ("function" not in values and own.is_required()):
            return values
        function = values.get("function", own.default)
        if isinstance(function, str):
            function = _registered(function)
        defaults = {
            _FROM_FIELDS[name]: parameter.default
            for name, parameter in _parameters(function).items()
            if name in _FROM_FIELDS and parameter.default is not parameter.empty
        }
        name = _name(function)
        names = {"model_name": name, "name": name} if own.is_required() else {}
        return {**names, **defaults, **values, "function": function}

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
                asked = _FROM_REQUEST[name](request)
                if asked is not None or parameter.default is parameter.empty:
                    given[name] = asked
            elif name in _FROM_FIELDS:
                given[name] = getattr(self, _FROM_FIELDS[name])
            elif parameter.kind is parameter.VAR_KEYWORD:
                rest = request.given.keys() - self._parameters.keys()
                given |= {key: request.given[key] for key in rest}
            elif name in request.parameters:
                given[name] = request.parameters[name]
            elif name in type(self).model_fields and name not in PLUMBING:
                given[name] = getattr(self, name)  # a field of ours, by its own name
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
        fields = {k: each for k, each in state["__dict__"].items() if k not in self.lasting}
        return {**state, "__dict__": {**fields, "function": _Named(self.function)}}


class _Decorator(Protocol):
    """What `chat_model` is with nothing but fields."""

    @overload
    def __call__(self, source: Runnable[Any, Any], /) -> ChatModel: ...
    @overload
    def __call__(self, source: Callable[..., Any], /) -> ChatFunction: ...


@overload
def chat_model(source: Runnable[Any, Any], /, **fields: Any) -> ChatModel: ...
@overload
def chat_model(source: Callable[..., Any], /, **fields: Any) -> ChatFunction: ...
@overload
def chat_model(**fields: Any) -> _Decorator: ...
def chat_model(source: Any = None, /, **fields: Any) -> Any:
    """Make whatever answers messages a LangChain chat model.

    A function may return the answer or yield it, be a coroutine function or an async generator
    function. It may give `str`, the deltas `Text`, `Reasoning`, `Refusal`, `Block`,
    `ToolCallDelta`, `Usage` and `Finish`, or LangChain's `AIMessage`, `AIMessageChunk`,
    `ChatGenerationChunk` and `ChatResult`.

    Args:
        source: A function, with `messages` among its parameters; another chat model; a chain, from
            messages to a message or text; or a compiled LangGraph graph, whose state has
            `messages` (an agent).
        **fields: Fields of `ChatFunction` or `ChatRunnable`, such as `model_name`, `temperature`,
            `price` or, for a graph, `steps`.

    Returns:
        The chat model: a `ChatFunction`; a `ChatRunnable`; or, if it is one of Chatwright's already
        and there are no fields, `source` itself. Called with `fields` only, a decorator that makes
        one.

    Raises:
        DefinitionError: The function's signature, the chain's prompt or the graph's state does not
            fit, or it is none of these.
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
    if source is None:
        return functools.partial(chat_model, **fields)
    if isinstance(source, ChatModel) and not fields:
        return source
    if isinstance(source, Runnable):
        return ChatRunnable(runnable=source, **fields)
    return ChatFunction(function=source, **fields)


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(function: object) -> Mapping[str, inspect.Parameter]:
    """Return the function's parameters.

    Raises:
        DefinitionError: It is no function, or its parameters do not fit.
    """
    if not callable(function) or isinstance(function, type):
        hint = "; compile it first" if hasattr(function, "compile") else ""
        raise DefinitionError(
            "chat_model makes models of functions, chat models, chains and compiled graphs, not of "
            f"{function!r}{hint}"
        )
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
    """Return what is wrong with one parameter and what fixes it."""
    name, kind = parameter.name, parameter.kind
    if kind is parameter.VAR_KEYWORD:
        return None
    if kind is parameter.VAR_POSITIONAL:
        return f"takes '*{name}', but everything is given by name; name what it needs instead"
    if kind is parameter.POSITIONAL_ONLY:
        return f"takes '{name}' by position only, but everything is given by name; drop the '/'"
    if name in _NEVER_SET:
        return f"takes '{name}', which LangChain keeps for itself, so that no call could set it"
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
