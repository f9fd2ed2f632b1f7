"""What differs between a request and recorded ones, field by field."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["differences", "nearest"]

_SHOWN = 60
"""How many characters of a value are shown."""
_MISSING = object()


def differences(recorded: Any, asked: Any, path: str = "") -> Iterator[str]:
    """Yield what differs: `messages[1].content: recorded 'Hi', asked 'Hello'`.

    Args:
        recorded: The recorded request, as JSON.
        asked: What is asked, likewise.
        path: Where they stand. Default: at the top.
    """
    if isinstance(recorded, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*recorded, *asked}):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(recorded.get(key, _MISSING), asked.get(key, _MISSING), inner)
    elif isinstance(recorded, list) and isinstance(asked, list):
        for at in range(max(len(recorded), len(asked))):
            one, other = (each[at] if at < len(each) else _MISSING for each in (recorded, asked))
            yield from differences(one, other, f"{path}[{at}]")
    elif recorded != asked or isinstance(recorded, bool) != isinstance(asked, bool):
        was, now = _told(recorded, asked)
        yield f"{path}: recorded {was}, asked {now}"


def nearest(requests: Sequence[Any], asked: Any) -> int:
    """Return which of the recorded requests has the fewest differences, and then the likest text.

    Args:
        requests: The recorded requests; one at least.
        asked: What is asked.
    """
    matcher = difflib.SequenceMatcher(None, b=json.dumps(asked, sort_keys=True), autojunk=False)

    def distance(at: int) -> tuple[int, float]:
        matcher.set_seq1(json.dumps(requests[at], sort_keys=True))
        return sum(1 for _ in differences(requests[at], asked)), -matcher.quick_ratio()

    return min(range(len(requests)), key=distance)


def _told(recorded: Any, asked: Any) -> tuple[str, str]:
    """Return two values as they are shown: long texts from a little before they part."""
    if isinstance(recorded, str) and isinstance(asked, str):
        pairs = enumerate(zip(recorded, asked, strict=False))
        shared = min(len(recorded), len(asked))
        start = max(0, next((at for at, (a, b) in pairs if a != b), shared) - 20)
        return _cut(recorded, start), _cut(asked, start)
    return _shown(recorded), _shown(asked)


def _cut(text: str, start: int) -> str:
    shown = text[start : start + _SHOWN]
    before = "…" if start else ""
    return repr(f"{before}{shown}{'…' if start + _SHOWN < len(text) else ''}")


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
