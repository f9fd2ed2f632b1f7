"""An error as a cassette has it, and made again of that."""

import contextlib
import sys
import types
from collections.abc import Mapping
from typing import Any

from chatwright.errors import CassetteError, InterruptedAnswerError, SourceError
from chatwright.wrap.recording.deltas import is_json
from chatwright.wrap.recording.secrets import Secrets

__all__ = ["made", "written"]


def written(error: Exception, secrets: Secrets) -> dict[str, Any]:
    """Return an error as JSON: its class, its text, its arguments and what it tells beside them.

    Fields that are no JSON, a response for one, are left out.
    """
    fields = {name: each for name, each in vars(error).items() if not name.startswith("__")}
    kind = type(error)
    told = error.__reduce__()  # of Python's own, an `OSError` has a file's name there alone
    arguments = [*(told[1] if _is_pythons(kind) and isinstance(told, tuple) else error.args)]
    if isinstance(error, InterruptedAnswerError):
        fields["interrupts"] = [{"id": each.id, "value": each.value} for each in error.interrupts]
        arguments = [str(error)]
    entry = {
        "type": f"{kind.__module__}:{kind.__qualname__}",
        "text": secrets.shown(str(error)),
        "args": secrets.hide(arguments) if is_json(arguments) else [secrets.shown(str(error))],
        "fields": secrets.hide({name: each for name, each in fields.items() if is_json(each)}),
    }
    return {name: each for name, each in entry.items() if each or name in {"args", "text", "type"}}


def made(entry: Mapping[str, Any]) -> Exception:
    """Return the error of an entry: one of its class, where that is imported and can be made so.

    Otherwise it is a `SourceError` that names the class.

    Raises:
        CassetteError: The entry is no error's.
    """
    try:
        named, text, fields = str(entry["type"]), str(entry["text"]), {**entry.get("fields", {})}
        arguments = [*entry["args"]]
    except (KeyError, TypeError):
        raise CassetteError(f"{entry!r} is no error") from None
    if (kind := _class(named)) is not None:
        with contextlib.suppress(Exception):
            error = _rebuilt(kind, arguments, fields)
            if str(error) == text:
                return error
    stand_in = SourceError(f"{named} was raised, which can't be made again here: {text}")
    status = fields.get("status", fields.get("status_code"))
    stand_in.status = status if isinstance(status, int) else None
    return stand_in


def _class(named: str) -> type[Exception] | None:
    """Return the class of a name; nothing is imported because a file says so."""
    module, _, path = named.partition(":")
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _is_pythons(kind: type[Exception]) -> bool:
    return kind.__module__ == "builtins"


def _rebuilt(kind: type[Exception], arguments: list[Any], fields: dict[str, Any]) -> Exception:
    if issubclass(kind, InterruptedAnswerError):
        told = (types.SimpleNamespace(**each) for each in fields["interrupts"])
        fields = {**fields, "interrupts": tuple(told)}
    if _is_pythons(kind):
        error = kind(*arguments)
    else:  # past its `__init__`, which may want what no file holds
        error = kind.__new__(kind, *arguments)
        error.args = tuple(arguments)
    vars(error).update(fields)
    return error
