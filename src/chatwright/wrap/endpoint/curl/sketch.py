"""An endpoint file as it takes shape."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chatwright.wrap.endpoint.findings import Finding
from chatwright.wrap.endpoint.toml import comment, pair

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Sketch"]


@dataclass
class Sketch:
    """What is known of a server that speaks its own way.

    Args:
        url: Where it is.
        model: The model's name, where the body has one.
        fields: Further keys of the endpoint file, such as `key_env`.
        request: The table `request`.
        response: The table `response`.
        quirks: The table `quirks`.
        found: What was found out.
        notes: What could not be told, and what to do about it.
        requests: How many requests were made.
    """

    url: str
    model: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    requests: int = 0

    def learn(self, name: str, value: Any, evidence: str) -> None:
        """Keep what was found out.

        Args:
            name: What it is of, as in `response.text`.
            value: Its value; None where it could not be told.
            evidence: What was seen.
        """
        self.found.append(Finding(name, value, evidence))
        tables: Mapping[str, dict[str, Any]] = {
            "request": self.request,
            "response": self.response,
            "quirks": self.quirks,
        }
        table, _, key = name.partition(".")
        if value is not None:
            tables[table][key] = value

    def as_toml(self) -> str:
        """Return the endpoint file, with the evidence as comments."""
        lines = ["# What `chatwright probe --curl` found out; edit it as you like."]
        lines += map(comment, self.notes)
        lines += [pair("url", self.url), *([pair("model", self.model)] if self.model else [])]
        lines += [pair(name, value) for name, value in self.fields.items()]
        evidence = {each.name: each for each in self.found}
        tables = {"request": self.request, "response": self.response, "quirks": self.quirks}
        for table, values in tables.items():
            if not values:
                continue
            lines += ["", f"[{table}]"]
            for name, value in values.items():
                if seen := evidence.get(f"{table}.{name}"):
                    lines.append(comment(seen.evidence))
                lines.append(pair(name, value))
            untold = [each for each in self.found if each.value is None]
            lines += [
                comment(f"{each.name}: could not be told: {each.evidence}")
                for each in untold
                if each.name.startswith(f"{table}.")
            ]
        return "\n".join(lines) + "\n"
