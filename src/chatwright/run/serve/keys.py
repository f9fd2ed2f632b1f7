"""Keys of clients: a file of names and hashes, each with its own limits.

A key has 256 random bits, so that a plain SHA-256 of it can't be turned back by trying.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright.run.serve.failures import HttpError

__all__ = ["Client", "Keys", "add_key"]

log = logging.getLogger("chatwright.serve")

_MINUTE = 60.0


@dataclass
class Client:
    """Whoever has a key.

    Args:
        name: Its name.
        digest: The SHA-256 of its key, in hex.
        per_minute: How many requests it may make in a minute; None for no limit.
        concurrency: How many at once; None for no limit.
    """

    name: str
    digest: str
    per_minute: int | None = None
    concurrency: int | None = None
    _running: int = 0
    _times: deque[float] = field(default_factory=deque)

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request.

        Raises:
            HttpError: It makes too many (429).
        """
        now = time.monotonic()
        times = self._times
        while times and now - times[0] >= _MINUTE:
            times.popleft()
        if self.per_minute is not None and len(times) >= self.per_minute:
            wait = _MINUTE - (now - times[0])
            raise HttpError(429, f"{self.per_minute} requests a minute are the limit", wait)
        if self.concurrency is not None and self._running >= self.concurrency:
            raise HttpError(429, f"{self.concurrency} requests at once are the limit", 1)
        if self.per_minute is not None:
            times.append(now)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


class Keys:
    """The keys in a file.

    Args:
        path: A JSON file: `{"NAME": {"sha256": "…", "per_minute": 60, "concurrency": 4}}`, where
            the limits may be left out.

    Raises:
        ValueError: The file is not one.
        OSError: It can't be read.
    """

    def __init__(self, path: Path) -> None:
        """Read the file."""
        self.path = path
        self.clients: dict[str, Client] = {}
        self.reread()

    def reread(self) -> None:
        """Read the file again; clients that stay keep their counts.

        Raises:
            ValueError: The file is no file of keys; the keys stay as they are.
            OSError: It can't be read; likewise.
        """
        clients = {}
        for name, told in _read(self.path).items():
            client = Client(name, told["sha256"], told.get("per_minute"), told.get("concurrency"))
            if (known := self.clients.get(name)) and known.digest == client.digest:
                known.per_minute, known.concurrency = client.per_minute, client.concurrency
                client = known
            clients[name] = client
        self.clients = clients

    def reread_or_warn(self) -> None:
        """Read the file again; where that can't be done, say so and keep the keys."""
        try:
            self.reread()
        except (OSError, ValueError) as error:
            log.warning("the keys stay as they were: %s", error)

    def client(self, key: str) -> Client | None:
        """Return whoever has a key; all are compared, in constant time."""
        digest = _digest(key)
        found = None
        for client in self.clients.values():
            if hmac.compare_digest(client.digest, digest):
                found = client
        return found


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path} has to hold an object of names")  # noqa: TRY004  one error
    for name, each in told.items():
        digest = each.get("sha256") if isinstance(each, dict) else None
        if not isinstance(digest, str) or len(digest) != 64:  # noqa: PLR2004  SHA-256 in hex
            raise ValueError(f"{path}: {name} has no sha256 of 64 hex digits")
        for limit in ("per_minute", "concurrency"):
            value = each.get(limit)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{path}: {name}.{limit} has to be a whole number above 0")
    return told


def add_key(path: Path, name: str) -> str:
    """Add a key to a file, which is made if there is none, and return the key: it is kept nowhere.

    Args:
        path: The file.
        name: Whose it is.

    Raises:
        ValueError: The name has a key, or the file is no file of keys.
        OSError: The file can't be written.
    """
    told = _read(path) if path.exists() else {}
    if name in told:
        raise ValueError(f"{name} has a key in {path}; take it out first")
    key = f"cw-{secrets.token_urlsafe(32)}"
    told[name] = {"sha256": _digest(key)}
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(told, indent=2) + "\n")
    Path(made).replace(path)
    return key
