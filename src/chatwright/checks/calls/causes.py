"""Where an exception comes from, so that findings of one cause can be told once."""

import inspect
import re
import socket
import traceback
from pathlib import Path

__all__ = ["cause", "is_lost", "own_files"]

_REFUSED = re.compile(
    r"connection refused|connection error|connect call failed|new ?connection|"
    r"max retries exceeded",
    re.IGNORECASE,
)
_BASES = ("abc", "builtins", "langchain_core", "pydantic", "typing")


def own_files(cls: type) -> frozenset[str]:
    """Return the files in which a class, and what it derives from, is written; not LangChain's.

    Args:
        cls: A class of chat models.
    """
    found = set()
    for each in cls.__mro__:
        if each.__module__.partition(".")[0] not in _BASES:
            try:
                found.add(inspect.getfile(each))
            except (OSError, TypeError):  # made on the fly
                continue
    return frozenset(found)


def cause(error: BaseException, own: frozenset[str] = frozenset()) -> str:
    """Return what raised, and where: `IndexError at models.py:41: choice = choices[0]`.

    Args:
        error: The exception.
        own: The files that are the model's own: the last line there is what its author can change.
            Without one, the last line of all is told.
    """
    frames = traceback.extract_tb(error.__traceback__)
    mine = [each for each in frames if each.filename in own]
    name = type(error).__name__
    if not frames:
        return name
    last = (mine or frames)[-1]
    line = f": {last.line}" if last.line else ""
    return f"{name} at {Path(last.filename).name}:{last.lineno}{line}"


def is_lost(error: BaseException) -> bool:
    """Tell whether nothing answers where a model asks: that is not the model's fault.

    Args:
        error: What it raised; clients keep the socket's own error as its cause.
    """
    seen: BaseException | None = error
    while seen is not None:
        told = _REFUSED.search(str(seen))
        if told or isinstance(seen, ConnectionRefusedError | socket.gaierror):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
