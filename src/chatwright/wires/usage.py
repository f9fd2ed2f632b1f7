"""`UsageFields`: where a wire has its counts of tokens, for both of its ends."""

from collections.abc import Mapping
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
        apart: Whether `input` leaves out what `input_details` count; LangChain includes it.
        always: The paths to parts that are there even where nothing is known of them, as 0.
    """

    input: str
    output: str
    total: str = ""
    input_details: Mapping[str, Path] = field(default_factory=dict)
    output_details: Mapping[str, Path] = field(default_factory=dict)
    apart: bool = False
    always: tuple[Path, ...] = ()

    def read(self, counts: Mapping[str, Any]) -> Usage:
        """Return the counts that a server tells."""
        details = _found(self.input_details, counts)
        spent = counts.get(self.input)
        if spent is not None and self.apart:
            spent += sum(details.values())
        return Usage(spent, counts.get(self.output), details, _found(self.output_details, counts))

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
        counts: dict[str, Any] = {self.input: spent, self.output: made}
        if self.total:
            counts[self.total] = spent + made
        for path, count in told.items():
            place = counts
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = count
        return counts


def _found(paths: Mapping[str, Path], counts: Mapping[str, Any]) -> dict[str, int]:
    """Return the parts that a server tells."""
    found = {}
    for name, path in paths.items():
        value: Any = counts
        for key in path:
            value = value.get(key) if value else None
        if value is not None:
            found[name] = value
    return found
