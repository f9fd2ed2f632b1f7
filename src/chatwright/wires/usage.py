"""`UsageFields`: where a wire has its counts of tokens, for both of its ends."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.deltas import Usage

__all__ = ["UsageFields"]

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class UsageFields:
    """Where a wire has its counts of tokens.

    Args:
        input: The field of the prompt's tokens.
        output: The field of the answer's tokens.
        total: The field of their sum; empty for none.
        input_details: The paths to parts of the prompt's tokens, by LangChain's names for them.
        output_details: The paths to parts of the answer's tokens, likewise.
        also: Further paths to the same parts, as some servers have them; read, not written.
        apart: Whether `input` leaves out what `input_details` count; LangChain includes it.
        reasoning_apart: Whether `output` is written without reasoning; the sum tells it.
        always: The paths to parts that are there even where nothing is known of them, as 0.
    """

    input: str
    output: str
    total: str = ""
    input_details: Mapping[str, Path] = field(default_factory=dict)
    output_details: Mapping[str, Path] = field(default_factory=dict)
    also: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    apart: bool = False
    reasoning_apart: bool = False
    always: tuple[Path, ...] = ()

    def read(self, counts: Mapping[str, Any]) -> Usage:
        """Return the counts that a server tells; what is no count is not known.

        A part is never more than its total: a server whose total leaves a part out is told by
        that, or by a sum of both totals that is more than they are (Gemini's, on OpenAI's wire,
        leaves reasoning out of the answer's tokens).
        """
        spent, made = _count(counts.get(self.input)), _count(counts.get(self.output))
        inputs = _found(self.input_details, self.also, counts)
        outputs = _found(self.output_details, self.also, counts)
        if spent is not None:
            cached = sum(count for name, count in inputs.items() if name.startswith("cache_"))
            spent += cached if self.apart or cached > spent else 0
        total = _count(counts.get(self.total)) if self.total else None
        if made is not None:
            apart = total - spent - made if total and spent is not None else 0
            reasoned = outputs.get("reasoning", 0)
            if apart > 0:
                made, outputs["reasoning"] = made + apart, max(apart, reasoned)
            elif reasoned > made:
                made += reasoned
        return Usage(spent, made, inputs, outputs)

    def write(self, usage: Usage) -> dict[str, Any]:
        """Return the counts as a server tells them; those of its totals that are unknown as 0."""
        spent, made = usage.input_tokens or 0, usage.output_tokens or 0
        told: dict[Path, int] = dict.fromkeys(self.always, 0)
        for paths, details in (
            (self.input_details, usage.input_token_details),
            (self.output_details, usage.output_token_details),
        ):
            told |= {paths[name]: count for name, count in details.items() if name in paths}
        if self.apart:
            known = usage.input_token_details.items()
            spent -= sum(count for name, count in known if name in self.input_details)
        reasoning = usage.output_token_details.get("reasoning", 0) if self.reasoning_apart else 0
        counts: dict[str, Any] = {self.input: spent, self.output: made - reasoning}
        if self.total:
            counts[self.total] = spent + made
        for path, count in told.items():
            place = counts
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = count
        return counts


def _found(
    paths: Mapping[str, Path], also: Mapping[str, Sequence[Path]], counts: Mapping[str, Any]
) -> dict[str, int]:
    """Return the parts that a server tells."""
    found = {}
    for name, path in paths.items():
        told = (_at(each, counts) for each in (path, *also.get(name, ())))
        if (count := next((each for each in told if each is not None), None)) is not None:
            found[name] = count
    return found


def _at(path: Path, counts: Any) -> int | None:
    for key in path:
        counts = counts.get(key) if isinstance(counts, Mapping) else None
    return _count(counts)


def _count(value: Any) -> int | None:
    """Return a count, which some servers give as text or as a float."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if 0 <= value < math.inf else None
