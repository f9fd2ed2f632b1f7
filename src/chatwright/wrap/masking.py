"""Secrets, hidden in what is shown, however what shows them has encoded them."""

import base64
import contextlib
import functools
import html.entities
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

__all__ = ["Mask"]

_SCHEMES = frozenset({"Bearer", "Basic", "Token"})
_ENTITIES = {chr(code): name for code, name in html.entities.codepoint2name.items()} | {"'": "apos"}


class Mask:
    """Hides secrets in what is shown: bare, and as URLs, JSON, HTML and base64 encode them.

    Args:
        secrets: What to hide; those shorter than four characters would hide too much.
    """

    SHORTEST = 4

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Start with these."""
        self._secrets: set[str] = set()
        for each in secrets:
            self.add(each)

    def add(self, secret: str) -> None:
        """Hide this one, too, and its parts: of `Bearer KEY` the key, of Basic the password."""
        for each in (secret, *secret.split(" ")):
            if len(each) >= self.SHORTEST and each not in _SCHEMES:
                self._secrets |= {each, unquote(each)}
        if "://" in secret:
            with contextlib.suppress(ValueError):
                self.add(urlsplit(secret).password or "")
        if secret.startswith("Basic "):
            with contextlib.suppress(ValueError):
                password = base64.b64decode(secret.removeprefix("Basic ")).decode().partition(":")
                self.add(password[2])

    def __call__(self, text: str) -> str:
        """Return the text with its secrets hidden."""
        if not self._secrets:
            return text
        return _pattern(frozenset(self._secrets)).sub("***", text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets stand in a text: their starts and ends, in order."""
        if not self._secrets:
            return []
        return [each.span() for each in _pattern(frozenset(self._secrets)).finditer(text)]


@functools.lru_cache(maxsize=32)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    """Return what matches the secrets in all their forms; the longest are tried first."""
    ordered = sorted(secrets, key=lambda each: (-len(each), each))
    written = ["".join(map(_character, each)) for each in ordered]
    return re.compile("|".join([*written, *(form for each in ordered for form in _base64s(each))]))


@functools.lru_cache(maxsize=1024)
def _character(character: str) -> str:
    """Return a pattern of the ways in which a character is written.

    They are: bare, percent-encoded (RFC 3986) once or more, escaped as in JSON, and as HTML does.
    """
    percent = "".join(f"%(?:25)*{_hex(f'{byte:02x}')}" for byte in _bytes(character))
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\+u{_hex(units[at : at + 4])}" for at in range(0, len(units), 4))
    code = ord(character)
    ways = [re.escape(character), percent, escaped]
    ways.append(rf"&(?:amp;)*#(?:0*{code}|[xX]0*{_hex(f'{code:x}')});")
    if character in _ENTITIES:
        ways.append(f"&(?:amp;)*{_ENTITIES[character]};")
    if character in "\"'/\\":
        ways.insert(0, rf"\\+{re.escape(character)}")
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def _hex(digits: str) -> str:
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in digits)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _base64s(secret: str) -> Iterator[str]:
    """Yield what stands in base64 where a secret is part of what was encoded.

    There are three ways, by where it begins; what its neighbours decide, too, is left out.
    """
    raw = _bytes(secret)
    if len(raw) < 2 * Mask.SHORTEST:
        return  # it would hide what only looks like it
    for before, theirs in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        shared = (before + len(raw)) % 3 != 0
        own = encoded[theirs : -1 if shared else None]
        yield "".join({"+": "[-+]", "/": "[/_]"}.get(each, each) for each in own)
