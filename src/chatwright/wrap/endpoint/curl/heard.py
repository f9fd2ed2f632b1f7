"""What a server answered, looked through for where the parts of an answer stand. No I/O."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from chatwright.core.finish import normalized_reason
from chatwright.errors import SourceError
from chatwright.wires.framing import FRAMINGS, ErrorPayload
from chatwright.wires.jsonio import loads
from chatwright.wrap.endpoint.asking import Body

__all__ = ["Heard", "Path", "Spot", "changed", "heard", "leaves", "written"]

Path = tuple[str | int | None, ...]
"""A way into JSON; None stands for each item of a list."""
_BARE = re.compile(r"[A-Za-z_]\w*")
_REASONS = re.compile(r"(finish|stop|done|end|completion)_?(reason|type)$", re.IGNORECASE)
_ASKED = re.compile(r"request|input|prompt|query|question|echo|asked", re.IGNORECASE)
"""What answers have their question below."""
_THOUGHTS = frozenset({"reasoning", "reasoning_content", "thinking", "thought", "thoughts"})
_INPUT = re.compile(
    r"^(prompt|input|in)(tokens?|tokencount|evalcount)$|^tokensin$|^inputtokens?used$"
)
_OUTPUT = re.compile(
    r"^(completion|output|out|generated|candidates)(tokens?|tokencount)$|^tokensout$|^evalcount$"
)
_COUNTS = re.compile(r"usage|used|tokens|counts", re.IGNORECASE)


class Spot(NamedTuple):
    """Where a text stands in an answer.

    Args:
        path: Where.
        values: The pieces that came there, in their order.
    """

    path: Path
    values: Sequence[str]

    @property
    def cumulative(self) -> bool:
        """Whether each piece holds all of the text so far."""
        pairs = list(zip(self.values, self.values[1:], strict=False))
        grows = self.values[-1] != self.values[0]
        return grows and all(later.startswith(earlier) for earlier, later in pairs)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.values[-1] if self.cumulative else "".join(self.values)


class Heard(NamedTuple):
    """An answer, cut into what it consists of.

    Args:
        framing: How it was cut: a key of `FRAMINGS`.
        payloads: The JSON values; the text itself, where it is no JSON.
        marker: What came last and is no JSON; empty if nothing did.
        unread: Whether more than that is no JSON.
    """

    framing: str
    payloads: Sequence[Any]
    marker: str = ""
    unread: bool = False

    def spots(self) -> dict[Path, Spot]:
        """Return where texts stand; with lists as a whole, too."""
        found: dict[Path, list[str]] = {}
        for payload in self.payloads:
            for path, value in leaves(payload):
                if isinstance(value, str) and value:
                    wild = tuple(None if isinstance(each, int) else each for each in path)
                    for each in {path, wild}:
                        found.setdefault(each, []).append(value)
        return {path: Spot(path, values) for path, values in found.items()}

    def saying(self, word: str, question: str = "") -> Spot | None:
        """Return where a word stands in the answer, blanks apart.

        Where the question stands, too, comes last; what is nothing but the question, after that.
        """
        spots = [e for e in self.spots().values() if word in "".join(e.text.lower().split())]

        def rank(spot: Spot) -> tuple[int, bool, bool, int, bool, int]:
            wild = None in spot.path
            said, asked = spot.text.strip().lower(), question.strip().lower()
            repeats = int(bool(asked) and asked in said) + int(bool(asked) and asked == said)
            of_asker = any(_ASKED.search(str(each)) for each in spot.path)
            pieces = -len(spot.values)
            return repeats, of_asker, spot.cumulative, pieces, wild, len(spot.path)

        return min(spots, key=rank, default=None)

    def reasoning(self) -> Path | None:
        """Return where reasoning stands."""
        return next((path for path in self.spots() if path and path[-1] in _THOUGHTS), None)

    def finish_reason(self, text: Path) -> Path | None:
        """Return where it is told why the answer ended."""
        spots = [each for path, each in self.spots().items() if path != text and None not in path]
        named = [each for each in spots if _REASONS.search(str(each.path[-1]))]
        known = {"length", "stop", "tool_calls", "content_filter", "refusal"}
        for spot in named or spots:
            said = spot.values[-1]
            once = len(spot.values) == 1 and len(self.payloads) > 1
            if named or (once and said.lower() != "text" and normalized_reason(said) in known):
                return spot.path
        return None

    def done(self) -> Path | None:
        """Return what becomes true with the last payload, and not before."""
        if self.framing not in {"ndjson", "sse"} or len(self.payloads) < 2:  # noqa: PLR2004
            return None
        *before, last = [dict(leaves(each)) for each in self.payloads]
        ends = (path for path, value in last.items() if value is True)
        return next((path for path in ends if not any(each.get(path) for each in before)), None)

    def usage(self) -> dict[str, str]:
        """Return where the counts of tokens stand, by their names in a `UsageSpec`."""
        found: dict[str, str] = {}
        for payload in self.payloads:
            for path, value in leaves(payload):
                if not isinstance(value, int) or isinstance(value, bool) or not path:
                    continue
                key = re.sub(r"[^a-z]", "", str(path[-1]).lower())
                inside = any(_COUNTS.search(str(each)) for each in path[:-1])
                if _INPUT.search(key) or (inside and key in {"in", "input", "prompt"}):
                    found["input_tokens"] = written(path)
                elif _OUTPUT.search(key) or (inside and key in {"out", "output", "completion"}):
                    found["output_tokens"] = written(path)
        return found


def heard(body: Body) -> Heard:
    """Return what an answer consists of, by its content type and its bytes.

    Args:
        body: What the server sent.
    """
    kind, raw = body.headers.get("content-type", ""), body.raw
    if "event-stream" in kind or raw.lstrip().startswith((b"data:", b"event:")):
        return _cut("sse", raw)
    with suppress(SourceError):
        return Heard("ndjson" if "ndjson" in kind or "jsonl" in kind else "json", [loads(raw)])
    lines = _cut("ndjson", raw)
    if lines.payloads and not lines.unread:
        return lines
    return Heard("text", [raw.decode("utf-8", "replace")])


def _cut(framing: str, raw: bytes) -> Heard:
    decoder = FRAMINGS[framing]()
    payloads: list[Any] = []
    others: list[str] = []
    after = False  # whether JSON follows what is none
    for each in [*decoder.feed(raw), *decoder.flush()]:
        if isinstance(each, ErrorPayload):
            continue
        try:
            payloads.append(loads(each))
            after = bool(others)
        except SourceError:
            others.append(each.decode("utf-8", "replace").strip())
    return Heard(framing, payloads, others[-1] if others else "", after or len(others) > 1)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the texts, numbers and truth values in JSON, with the ways to them.

    Args:
        value: The JSON.
        path: The way to it.
    """
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))
    else:
        yield path, value


def written(path: Path) -> str:
    """Return a way as a JMESPath."""
    said = ""
    for each in path:
        if isinstance(each, str):
            said += (
                f".{each}" if _BARE.fullmatch(each) else '."{}"'.format(each.replace('"', '\\"'))
            )
        else:
            said += "[]" if each is None else f"[{each}]"
    return said.removeprefix(".") or "@"


def changed(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return JSON with what stands at a place changed; the rest is shared.

    Args:
        value: The JSON.
        path: The place.
        change: Returns what is to stand there, of what does.
    """
    if not path:
        return change(value)
    first, *rest = path
    inner = changed(value[first], tuple(rest), change)
    if isinstance(value, list):
        return [inner if place == first else each for place, each in enumerate(value)]
    return {**value, first: inner}
