"""How chat models of any make are made: which of their parameters is what."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from chatwright.checks.outcome import skip

__all__ = ["Maker", "UnknownParameterError", "maker"]

NAMES = {
    "base_url": (
        *("base_url", "openai_api_base", "anthropic_api_url", "groq_api_base", "api_base"),
        *("endpoint", "endpoint_url", "api_url", "server_url", "inference_server_url", "host"),
        *("url", "uri", "base_uri", "root_url", "service_url", "gateway_url", "server", "address"),
        *("azure_endpoint",),
    ),
    "api_key": (
        *("api_key", "openai_api_key", "anthropic_api_key", "mistral_api_key", "groq_api_key"),
        *("api_token", "token", "key", "auth_token"),
    ),
    "model": ("model", "model_name", "model_id", "deployment", "llm"),
    "headers": (
        *("default_headers", "headers", "extra_headers", "additional_headers", "custom_headers"),
    ),
    "timeout": ("timeout", "request_timeout", "default_request_timeout"),
    "max_tokens": ("max_tokens", "max_output_tokens", "max_completion_tokens", "num_predict"),
    "stop": ("stop", "stop_sequences", "stops"),
}
"""What constructors call the things that check has to set; the first that is there is taken."""
MODEL_NAME = "checked-model"
LONG = 8
"""How long a secret has to be to be looked for: `none` or `test` is in any text."""
_KEY = re.compile(r"(api_?key|(access|api|auth)_?token)$")
"""Ends of what vendors call their keys, their own names before it."""
_ADDRESS = re.compile(r"(^|_)(ur[il]|host|endpoint|gateway|server|address|base|root)$")
"""Ends of what vendors call their addresses, where one has to be given."""
_TWICE = re.compile(r"multiple values for keyword argument '(\w+)'")


class UnknownParameterError(TypeError):
    """A constructor, or a factory, takes no such parameter."""


@dataclass(frozen=True)
class Maker:
    """Makes models of one kind.

    Args:
        build: A class, or a function.
        takes: The names of its parameters, and of its fields' aliases; None where it takes any.
        given: Arguments for each; an address gives way to that of the fake upstream.
        address: The parameter that holds an address, whatever its name.
        name: What reports call the model.
        package: The distribution that it is of, as far as that is known.
        named: The names of its parameters, where it takes any beside them.
    """

    build: Callable[..., BaseChatModel]
    takes: frozenset[str] | None
    given: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    package: str | None = None
    address: str | None = None
    named: frozenset[str] = frozenset()

    def parameter(self, name: str) -> str | None:
        """Return what the constructor calls a thing; None where it has no name for it."""
        names: Iterable[str] = NAMES.get(name, (name,))
        takes = self.named if self.takes is None else self.takes
        found = next((each for each in names if each in takes), None)
        if found is None and name == "base_url":
            found = self.address
        if found is None and name == "api_key":
            found = next((each for each in sorted(takes) if _KEY.search(each)), None)
        return name if found is None and self.takes is None else found

    def __call__(self, **things: Any) -> BaseChatModel:
        """Make a model.

        Args:
            **things: Values by the names of `NAMES`, or by the constructor's own.

        Raises:
            TypeError: What is made is no chat model.
            UnknownParameterError: The constructor has no name for one of them.
        """
        arguments: dict[str, Any] = {}
        later: dict[str, Any] = {}
        for name, value in things.items():
            parameter = self.parameter(name)
            cores = name in BaseChatModel.model_fields
            if parameter is not None and not (cores and self._is_guess(parameter)):
                arguments[parameter] = value
            elif cores:
                later[name] = value
            else:
                raise UnknownParameterError(f"{self.name} takes no {name!r}")
        address = self.parameter("base_url")
        given = {each: self.given[each] for each in self.given if each != address}
        made = self._built({**self.given, **arguments, **given})
        if not isinstance(made, BaseChatModel):
            kind = type(made).__name__
            raise TypeError(f"{self.name} returned a {kind}, which is no chat model")
        return made.model_copy(update=later) if later else made

    def _is_guess(self, parameter: str) -> bool:
        """Tell whether a function takes a parameter only because it takes any."""
        return self.takes is None and parameter not in self.named

    def _built(self, arguments: dict[str, Any]) -> Any:
        """Make a model; what a function that takes anything gives by itself is left to it."""
        while True:
            try:
                return self.build(**arguments)
            except TypeError as error:
                twice = _TWICE.search(str(error))
                if self.takes is not None or not twice or twice[1] not in arguments:
                    raise
                del arguments[twice[1]]

    def try_make(self, **things: Any) -> BaseChatModel:
        """Make a model, and skip the rule where the constructor has no name for a thing."""
        try:
            return self(**things)
        except UnknownParameterError as error:
            skip(str(error))

    def accepted(self, **things: Any) -> dict[str, Any]:
        """Return those of some things that the constructor takes."""
        return {name: value for name, value in things.items() if self.parameter(name)}

    def where(self, **given: Any) -> "Maker":
        """Return a maker that gives further arguments."""
        return replace(self, given={**self.given, **given})


def maker(found: Any, given: Mapping[str, Any] | None = None) -> Maker:
    """Return what makes models like the one that is given.

    Args:
        found: A chat model, a class of chat models, or a function that returns one.
        given: Arguments for the constructor, by its own names.

    Raises:
        TypeError: It is none of these.
    """
    kwargs = dict(given or {})
    if isinstance(found, BaseChatModel):
        cls = type(found)
        name = found.name or cls.__name__
        build = functools.partial(_again, found)
        return Maker(build, _names(cls), kwargs, name, _package(cls), _address(cls, kwargs))
    if isinstance(found, type) and issubclass(found, BaseChatModel):
        names = _names(found)
        package, address = _package(found), _address(found, kwargs)
        return Maker(found, names, kwargs, found.__name__, package, address)
    if callable(found) and not isinstance(found, type):
        name = getattr(found, "__name__", type(found).__name__)
        named, rest = _signature(found)
        takes = None if rest is None or rest else named
        package, address = _package(found), _address(found, kwargs)
        return Maker(found, takes, kwargs, name, package, address, named)
    raise TypeError(
        f"{found!r} is no chat model, no class of chat models and no function that returns one"
    )


def _again(model: BaseChatModel, /, **changed: Any) -> BaseChatModel:
    """Make a model like another one, of the arguments that made it."""
    fields = type(model).model_fields
    given = {}
    for name in model.model_fields_set & fields.keys():
        alias = fields[name].alias
        if not {name, alias} & changed.keys():
            given[alias or name] = getattr(model, name)
    return type(model)(**{**given, **changed})


def _names(cls: type[BaseChatModel]) -> frozenset[str] | None:
    names = set()
    for name, each in cls.model_fields.items():
        if each.init is not False:
            names |= {name} if each.alias is None or _by_name(cls) else {each.alias}
            names |= {each.alias} - {None} if isinstance(each.alias, str) else set()
    named, rest = _signature(cls.__init__)
    return frozenset(names | named | (_picked(cls.__init__, rest) if rest else set()))


def _by_name(cls: type[BaseChatModel]) -> bool:
    config = cls.model_config
    return bool(config.get("populate_by_name") or config.get("validate_by_name"))


def _signature(function: Callable[..., Any]) -> tuple[frozenset[str], str | None]:
    """Return the names of a function's parameters, and what it calls the rest that it takes.

    The rest is empty where it takes no others, and None where nothing tells what it takes.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset(), None
    rest = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), "")
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {each.name for each in parameters if each.kind in named}
    return frozenset(found - {"self", "args"}), rest


def _picked(function: Callable[..., Any], rest: str) -> set[str]:
    """Return the names that a function picks out of its `**kwargs`, by its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set()
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get" | "pop" | "setdefault"),
                args=[ast.Constant(value=str(key)), *_],
            ) if name == rest:
                found.add(key)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if (
                name == rest
            ):
                found.add(key)
    return found


def _address(found: Any, given: Mapping[str, Any]) -> str | None:
    """Return the parameter that holds an address: the one given, by default, or by its name."""
    if told := [name for name, value in given.items() if _is_address(value)]:
        return told[0]
    defaults: dict[str, Any] = {}
    try:
        parameters = inspect.signature(found).parameters
        defaults = {name: each.default for name, each in parameters.items()}
    except (TypeError, ValueError):
        pass
    for name, each in getattr(found, "model_fields", {}).items():
        if each.init is not False:
            none = each.is_required()
            defaults[each.alias or name] = inspect.Parameter.empty if none else each.default
    if (held := next((n for n, value in defaults.items() if _is_address(value)), None)) is not None:
        return held
    required = (n for n, value in defaults.items() if value is inspect.Parameter.empty)
    return next((name for name in required if _ADDRESS.search(name)), None)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _package(found: Any) -> str | None:
    module = getattr(found, "__module__", None) or ""
    return module.partition(".")[0].replace("_", "-") or None


def key_given(made: Maker) -> str:
    """Return the key that a maker gives, if it is a plain str; else nothing."""
    given = made.given.get(made.parameter("api_key") or "")
    return given if isinstance(given, str) and len(given) >= LONG else ""


def secrets_of(model: BaseChatModel) -> set[str]:
    """Return the secrets that a model holds, also as a plain str by the name of a key."""
    found = set()
    for name in type(model).model_fields:
        value = getattr(model, name, None)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif isinstance(value, str) and (name in NAMES["api_key"] or _KEY.search(name)):
            found |= {value} if len(value) >= LONG else set()
    return {each for each in found if each}
