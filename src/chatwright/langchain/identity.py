"""What tells one value from every other, in this process and in the next: for cache keys.

A value is known by what it is made of: a function by its code, its defaults, what it closes over
and the globals that it reads; an object by its class and its attributes. What can't be told apart
for certain, a connection or a lock, has no identity: a model that holds one is not cached.
"""

import contextlib
import dataclasses
import datetime as dt
import decimal
import dis
import enum
import functools
import hashlib
import importlib.util
import logging
import pathlib
import re
import struct
import sys
import types
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import BaseLanguageModel
from pydantic import BaseModel, SecretBytes, SecretStr

__all__ = [
    "Unidentified",
    "class_identity",
    "digest",
    "identity",
    "is_identified",
]

_AS_THEY_ARE = (str, int, float, bool, type(None))
_BY_REPR = (
    *(bytes, complex, range, re.Pattern, pathlib.PurePath, uuid.UUID, decimal.Decimal),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo),
)
_PLUMBING = frozenset(BaseChatModel.model_fields)
_SALT = b"chatwright's cache keys"
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


class Unidentified(Exception):  # noqa: N818  it never leaves the cache's own code
    """A value that nothing tells from another one.

    Args:
        path: Where it stands.
        value: The value.
    """

    def __init__(self, path: str, value: object) -> None:
        """Keep both."""
        super().__init__(f"{path} is a {type(value).__qualname__}")
        self.path = path


def identity(value: Any, path: str = "it") -> Any:
    """Return plain JSON values that are equal for equal values only.

    Args:
        value: Anything.
        path: Where it stands, for the error.

    Raises:
        Unidentified: Nothing tells it from another one.
    """
    try:
        return _Identity().of(value, path)
    except RecursionError:
        raise Unidentified(path, value) from None


def is_identified(value: Any) -> bool:
    """Tell whether a value has an identity."""
    try:
        identity(value)
    except Unidentified:
        return False
    return True


def class_identity(cls: type) -> Any:
    """Return what identifies a class, the code that its author wrote included."""
    return identity(cls, cls.__qualname__)


def digest(known: str) -> str:
    """Return a salted hash, of 128 bits: what identifies a model may hold secrets anywhere."""
    return hashlib.blake2b(known.encode(), key=_SALT, digest_size=16).hexdigest()


class _Identity:
    """One look at a value; what is met a second time is named by when it was met first."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # alive, so that no address is used twice

    def of(self, value: Any, path: str) -> Any:
        if type(value) in _AS_THEY_ARE:
            return value
        if isinstance(value, enum.Enum):
            return [_path_of(type(value)), value.name]
        if isinstance(value, logging.Logger):
            return ["logger", value.name]
        if isinstance(value, _BY_REPR):
            return [_path_of(type(value)), repr(value)]
        if isinstance(value, SecretStr | SecretBytes):
            return ["secret", digest(repr(value.get_secret_value()))]
        if id(value) in self._seen:
            return ["again", self._seen[id(value)]]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return self._made_of(value, path)

    def _made_of(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, AbstractSet):
            parts = [self.of(each, f"{path}'s item") for each in value]
            return self._typed(value, sorted(parts, key=repr), path)
        if isinstance(value, Sequence):
            parts = [self.of(each, f"{path}[{n}]") for n, each in enumerate(value)]
            return parts if type(value) in {list, tuple} else self._typed(value, parts, path)
        if isinstance(value, types.GenericAlias | types.UnionType):
            origin = getattr(value, "__origin__", types.UnionType)
            return [self.of(each, path) for each in (origin, value.__args__)]
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType | type):
            return self._named(value, path)
        if callable(value) and not isinstance(value, BaseModel):
            return self._callable(value, path)
        return self._object(value, path)

    def _mapping(self, value: Mapping[Any, Any], path: str) -> Any:
        parts = [
            [self.of(key, f"{path}'s key"), self.of(each, f"{path}[{key!r}]")]
            for key, each in value.items()
        ]
        return self._typed(value, sorted(parts, key=repr), path)

    def _typed(self, value: Any, parts: Any, path: str) -> Any:
        """Return the parts of a container with its class, and what else it holds."""
        more = [vars(value) if hasattr(value, "__dict__") else {}]
        more += [value.default_factory] if isinstance(value, defaultdict) else []
        return [_path_of(type(value)), parts, self.of(more, path) if any(more) else []]

    def _named(self, value: Any, path: str) -> Any:
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        bound = getattr(value, "__self__", None)
        if bound is None or isinstance(bound, types.ModuleType):
            methods = self._methods(value, path) if isinstance(value, type) else []
            return [_path_of(value), methods]
        return [_path_of(value), self.of(bound, f"{path}.__self__")]

    def _callable(self, value: Any, path: str) -> Any:
        if isinstance(value, functools.partial):
            parts = [value.func, list(value.args), value.keywords]
            return ["partial", *(self.of(each, f"{path}.func") for each in parts)]
        if isinstance(value, types.MethodType):
            return [self.of(value.__func__, path), self.of(value.__self__, f"{path}.__self__")]
        if isinstance(value, types.FunctionType):
            return self._function(value, path)
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and not hasattr(value, "__dict__"):
            return [_path_of(type(value)), self.of(wrapped, path)]
        return self._object(value, path)

    def _function(self, function: types.FunctionType, path: str) -> Any:
        code = function.__code__
        held = {
            name: self._cell(cell, f"{path}'s {name!r}")
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
        }
        defaults = [function.__defaults__ or (), function.__kwdefaults__ or {}, vars(function)]
        return [
            function.__qualname__,
            _hash(code),
            [self.of(each, f"{path}'s default") for each in defaults],
            held,
            self._globals(function, path) if _is_users(function.__module__) else [],
        ]

    def _globals(self, function: types.FunctionType, path: str) -> Any:
        """Return what a function reads of its module, and of other modules of the user's."""
        known, names = function.__globals__, _names_of(function.__code__)
        read = {}
        for name in sorted(_globals_of(function.__code__) & known.keys()):
            read[name] = self.of(known[name], f"{path}'s {name!r}")
            if isinstance(known[name], types.ModuleType) and _is_users(known[name].__name__):
                inside = vars(known[name])
                for each in sorted(names & inside.keys() - {name}):
                    read[f"{name}.{each}"] = self.of(inside[each], f"{path}'s {name}.{each}")
        return read

    def _cell(self, cell: types.CellType, path: str) -> Any:
        try:
            return self.of(cell.cell_contents, path)
        except ValueError as error:  # it is empty yet
            return str(error)

    def _object(self, value: Any, path: str) -> Any:
        if known := getattr(type(value), "_identified", None):
            fields = known(value)  # one of ours
        elif isinstance(value, BaseModel):
            fields = _fields(value)
        elif dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            fields |= getattr(value, "__dict__", {})
        elif name := _global_name(value):
            return [_path_of(type(value)), name]
        elif not _is_plain(type(value)):
            raise Unidentified(path, value)
        else:
            fields = getattr(value, "__dict__", {}) | _in_slots(value)
        parts = {name: self.of(each, f"{path}.{name}") for name, each in sorted(fields.items())}
        return [_path_of(type(value)), parts, self._methods(type(value), path)]

    def _methods(self, cls: type, path: str) -> list[Any]:
        """Return what identifies the code of a class that the user wrote, and what it holds."""
        return [
            [name, self.of(_bare(each), f"{path}.{name}")]
            for base in cls.__mro__
            if _is_users(base.__module__)
            for name, each in sorted(vars(base).items())
            if isinstance(each, types.FunctionType)
            or not (name.startswith(_NO_ATTRIBUTES) or isinstance(each, types.MemberDescriptorType))
        ]


_NO_ATTRIBUTES = ("__", "_abc_", "model_")  # Python's and pydantic's own


def _global_name(value: Any) -> str:
    """Return the name of what there is once, as pickle knows it: a sentinel, for one."""
    if type(value) is object:
        return _sentinel(value)
    if "__reduce__" not in {name for base in type(value).__mro__[:-1] for name in vars(base)}:
        return ""
    try:
        reduced = value.__reduce__()
    except Exception:  # noqa: BLE001  a class's own code: most often, "can't be pickled"
        return ""
    return reduced if isinstance(reduced, str) else ""


def _bare(member: Any) -> Any:
    """Return what stands in a class as the function that was written."""
    if isinstance(member, property):
        return [member.fget, member.fset]
    if isinstance(member, functools.cached_property):
        return member.func
    return getattr(member, "__func__", member)


def _fields(model: BaseModel) -> dict[str, Any]:
    """Return the values that make up a pydantic model, a chat model for one."""
    kinds = type(model).model_fields
    fields = {name: model.__dict__[name] for name in kinds} | (model.__pydantic_extra__ or {})
    if isinstance(model, BaseLanguageModel):
        fields = {name: each for name, each in fields.items() if name not in _PLUMBING}
        fields["identifying_params"] = model._identifying_params  # noqa: SLF001  its own word
    if _is_users(type(model).__module__):
        return fields | (model.__pydantic_private__ or {})
    # A package's clients, which it makes of the other fields, stand in excluded ones.
    return {n: each for n, each in fields.items() if not (n in kinds and kinds[n].exclude)}


_sentinels: dict[int, tuple[object, str]] = {}


def _sentinel(value: object) -> str:
    """Return the first name, of any module, of a bare `object()`; it is none if nobody names it."""
    if id(value) not in _sentinels:
        names = [
            f"{module.__name__}:{name}"
            for module in list(sys.modules.values())
            if isinstance(module, types.ModuleType)
            for name, each in list(vars(module).items())
            if each is value
        ]
        if not names:
            return ""
        _sentinels[id(value)] = value, min(names)  # kept, so that the address stays its own
    return _sentinels[id(value)][1]


def _path_of(named: Any) -> str:
    return f"{named.__module__}:{getattr(named, '__qualname__', named)}"


def _is_plain(cls: type) -> bool:
    """Tell whether all that an object of a class holds stands in its `__dict__` and its slots."""
    slots = _slots(cls)
    pointers = len(slots) + (cls.__dictoffset__ > 0) + (cls.__weakrefoffset__ > 0)
    if cls.__basicsize__ > object.__basicsize__ + pointers * _POINTER:
        return False  # C code keeps more in it
    if not (slots or cls.__dictoffset__):
        return False  # nothing in it could be told apart
    return all(base.__flags__ & _HEAP_TYPE for base in cls.__mro__[:-1])


def _slots(cls: type) -> list[types.MemberDescriptorType]:
    """Return what a class and those that it inherits of keep in slots."""
    members = (each for base in cls.__mro__ for each in vars(base).values())
    return [each for each in members if isinstance(each, types.MemberDescriptorType)]


def _in_slots(value: Any) -> dict[str, Any]:
    """Return what an object keeps in slots; an empty slot is left out."""
    held = {}
    for slot in _slots(type(value)):
        with contextlib.suppress(AttributeError):
            held[f"{slot.__objclass__.__qualname__}.{slot.__name__}"] = slot.__get__(value)
    return held


_POINTER = struct.calcsize("P")
_HEAP_TYPE = 1 << 9  # CPython's Py_TPFLAGS_HEAPTYPE: made by a class statement


@functools.cache
def _is_users(module: str | None) -> bool:
    """Tell whether a module is the user's own code, and no installed package's."""
    if module is None or module == "__main__":
        return True
    found = sys.modules.get(module)
    path = getattr(found, "__file__", None)
    if path is None:
        spec = importlib.util.find_spec(module.partition(".")[0]) if found is None else None
        path = spec.origin if spec else None
    installed = ("site-packages", "dist-packages", "lib/python")
    top = module.partition(".")[0]
    if top == "chatwright" or top in sys.stdlib_module_names or path is None:
        return False
    return not any(each in path for each in installed)


@functools.cache
def _globals_of(code: types.CodeType) -> frozenset[str]:
    names = {each.argval for each in dis.get_instructions(code) if each.opname in _LOADS}
    return frozenset(names).union(*(_globals_of(each) for each in _inner(code)))


@functools.cache
def _names_of(code: types.CodeType) -> frozenset[str]:
    return frozenset(code.co_names).union(*(_names_of(each) for each in _inner(code)))


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (each for each in code.co_consts if isinstance(each, types.CodeType))


@functools.cache
def _hash(code: types.CodeType) -> str:
    constants = [_constant(each) for each in code.co_consts]
    whole = (code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants)
    return hashlib.blake2b(repr(whole).encode(), digest_size=16).hexdigest()


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _hash(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value
