"""What the commands read and write: nothing is lost, whatever a terminal or a pipe can show."""

import codecs
import io
import json
import sys

import typer

__all__ = ["is_terminal", "prepare", "read_piped", "say"]

_ESCAPES = {
    "github": "backslashreplace",
    "html": "xmlcharrefreplace",
    "json": "chatwright.json",
    "junit": "xmlcharrefreplace",
    "text": "backslashreplace",
}
"""How a format writes letters that the output can't show."""


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPES["json"], _as_json)


class _Closed(io.TextIOBase):
    """Stands for a standard output that is closed; Python has None for it."""

    def write(self, text: str) -> int:
        raise OSError("standard output is closed: there is no place for the answer")


def prepare() -> None:
    """Have standard output escape what it can't show, and say so where it is closed."""
    if sys.stdout is None:
        sys.stdout = _Closed()
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors=_ESCAPES["text"])


def say(text: str, form: str) -> None:
    """Print what another program may read, so that it stays of its format.

    Args:
        text: What is printed.
        form: Its format: `json`, `junit`, `html`, `github` or `text`.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo(text.encode(encoding, _ESCAPES[form]).decode(encoding))


def is_terminal() -> bool:
    """Tell whether somebody types; standard input may be closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def read_piped() -> str:
    """Return what is piped in.

    Raises:
        OSError: It is not of the encoding that it should be of.
    """
    if sys.stdin is None or is_terminal():
        return ""
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError as error:
        raise OSError(
            f"standard input is not {error.encoding}: {error}; PYTHONIOENCODING=utf-8 sets another "
            "encoding"
        ) from error
