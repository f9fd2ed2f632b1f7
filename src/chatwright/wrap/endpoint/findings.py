"""What `probe` finds out about a server, and the endpoint file that says so."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatwright.wires.quirks import Quirks

__all__ = ["Finding", "Findings"]


class Finding(NamedTuple):
    """One thing that was found out.

    Args:
        name: The quirk, or another field of `ChatEndpoint`.
        value: Its value; None where it could not be told.
        evidence: What was seen.
    """

    name: str
    value: Any
    evidence: str


@dataclass
class Findings:
    """What a server can do.

    Args:
        url: Where it is.
        model: The model that was asked.
        wire: How it was asked.
        requests: How many requests were made.
        query: The names of the URL's parameters.
        found: What was found out, in the order in which it was.
    """

    url: str
    model: str | None
    wire: str
    requests: int = 0
    query: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    @property
    def quirks(self) -> Quirks:
        """The quirks that were found out."""
        return Quirks(**{each.name: each.value for each in self.found if each.value is not None})

    def as_toml(self) -> str:
        """Return them as an endpoint file, with the evidence as comments."""
        lines = [
            "# What `chatwright probe` found out; edit it as you like.",
            f"url = {json.dumps(self.url)}",
            *([f"model = {json.dumps(self.model)}"] if self.model else []),
            f"wire = {json.dumps(self.wire)}",
            '# key_env = "ACME_KEY"  # the environment variable with the key, where it needs one',
            *(f"# query.{name}: left out, for it may be a secret" for name in self.query),
            "",
            "[quirks]",
        ]
        for name, value, evidence in self.found:
            lines.append(f"# {_printable(evidence)}")
            lines.append(
                f"# {name}: could not be told" if value is None else f"{name} = {_toml(value)}"
            )
        return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, frozenset | set | list | tuple):
        return json.dumps(sorted(value))
    return json.dumps(value)
