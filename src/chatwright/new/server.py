"""What an endpoint file tells of a package that is made of it."""

import os
import re
import tomllib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from chatwright.errors import PackageError
from chatwright.wrap.endpoint.file import endpoint_file

__all__ = ["Server", "server"]

_VARIABLE = re.compile(r"\$\{env:([^}]*)\}")
_KEY = re.compile(r"^key_env\s*=.*\n?", re.MULTILINE)


class Server(NamedTuple):
    """What is known of a server.

    Args:
        text: The endpoint file, but for its key.
        key: The environment variable with the key; empty where the file names none.
        variables: The other environment variables that it names, and values to test with.
        site: Where the server is; empty where only a variable says that.
    """

    text: str
    key: str
    variables: dict[str, str]
    site: str


def server(path: Path) -> Server:
    """Return what an endpoint file tells; the class, and no longer the file, names the key.

    Raises:
        LoadError: The file can't be read, or something in it is wrong; with line and key.
        PackageError: Its key can't be taken out of it.
    """
    text = path.read_text("utf-8") if path.is_file() else ""
    variables = {name: _value(name, text) for name in dict.fromkeys(_VARIABLE.findall(text))}
    found = {} if not text else _keys(text)
    key = str(found.get("key_env", ""))
    known = {**variables, **({key: "test"} if key else {}), **os.environ}
    model = endpoint_file(path, environment=known)
    parts = urlsplit(model.base_url)
    site = f"{parts.scheme}://{parts.netloc}" if _VARIABLE.search(str(found["url"])) is None else ""
    left = _KEY.sub("", text, count=1) if key else text
    if _keys(left) != {name: each for name, each in found.items() if name != "key_env"}:
        raise PackageError(f"{path}: write key_env as a line of its own, key_env = {key!r}")
    return Server(left.rstrip("\n") + "\n", key, variables, site)


def _keys(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # `endpoint_file` says what is wrong
        return {}


def _value(name: str, text: str) -> str:
    """Return a value to test with: an address where one begins with it."""
    begins = re.search(rf'["\']\$\{{env:{re.escape(name)}\}}', text)
    return "https://server.example" if begins else "server.example"
