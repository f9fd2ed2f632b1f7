"""Listening in: everything that is said while a model works, to logs, warnings and the terminal."""

import contextlib
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Said", "listening", "of_error", "text_of"]

TOLD = 8
"""How deep errors are followed to their causes."""


class Said:
    """What was said, as pairs of where and what.

    Args:
        hide: Takes secrets out of what is passed on to the terminal.
    """

    def __init__(self, hide: Callable[[str], str]) -> None:
        """Start with nothing."""
        self.texts: list[tuple[str, str]] = []
        self.hide = hide

    def add(self, where: str, value: Any) -> None:
        """Keep what was said."""
        self.texts.append((where, text_of(value)))


def text_of(value: Any) -> str:
    """Return a value as it would be shown: by its repr, or that of what it is made of."""
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  it is the model's
        return f"<its repr raised {type(error).__name__}: {error}>"


def of_error(error: BaseException | None) -> str:
    """Return all that an error shows: itself, its arguments, notes, causes and contexts."""
    texts: list[str] = []
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < TOLD:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        notes = getattr(each, "__notes__", ())
        parts = (each, each.args, notes, getattr(each, "body", ""), getattr(each, "message", ""))
        texts += [text_of(part) for part in parts]
        with contextlib.suppress(Exception):
            texts.append(str(each))
            texts.append("".join(traceback.format_exception_only(each)))
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return "\n".join(texts)


@contextlib.contextmanager
def listening(said: Said) -> Iterator[None]:
    """Keep what is logged, at any level, warned of, or printed, until the end; then undo all.

    Handlers of logs are put aside meanwhile, so that nothing of it reaches the user's.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_logs(said))
        stack.enter_context(_warnings(said))
        stack.enter_context(contextlib.redirect_stdout(_Tee(sys.stdout, "stdout", said)))
        stack.enter_context(contextlib.redirect_stderr(_Tee(sys.stderr, "stderr", said)))
        yield


class _Handler(logging.Handler):
    def __init__(self, said: Said) -> None:
        super().__init__(logging.NOTSET)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        where = f"the log {record.name} ({record.levelname})"
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  the record is at fault
            text = text_of((record.msg, record.args))
        if record.exc_info:
            text += of_error(record.exc_info[1])
        self._said.texts.append((where, text))


@contextlib.contextmanager
def _logs(said: Said) -> Iterator[None]:
    manager = logging.root.manager
    named = [each for each in manager.loggerDict.values() if isinstance(each, logging.Logger)]
    kept = [
        (each, each.level, each.handlers[:], each.propagate, each.disabled)
        for each in (logging.root, *named)
    ]
    disabled, handler = manager.disable, _Handler(said)
    for each, *_ in kept:
        each.handlers, each.propagate, each.disabled = [], True, False
        each.setLevel(logging.NOTSET)
    logging.root.handlers = [handler]
    logging.disable(logging.NOTSET)
    logging.root.setLevel(1)
    try:
        yield
    finally:
        for each, level, handlers, propagate, was_disabled in kept:
            each.handlers, each.propagate, each.disabled = handlers, propagate, was_disabled
            each.setLevel(level)
        logging.disable(disabled)


@contextlib.contextmanager
def _warnings(said: Said) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for each in caught:
                said.add("a warning", str(each.message))


class _Tee(io.TextIOBase):
    """Keeps what is written, and passes it on without secrets."""

    def __init__(self, to: Any, name: str, said: Said) -> None:
        super().__init__()
        self._to, self._name, self._said = to, name, said

    def write(self, text: str) -> int:
        self._said.texts.append((self._name, text))
        self._to.write(self._said.hide(text))
        return len(text)

    def flush(self) -> None:
        self._to.flush()

    def isatty(self) -> bool:
        return bool(self._to.isatty())

    def fileno(self) -> int:
        return int(self._to.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only
        return getattr(self._to, "encoding", None) or "utf-8"
