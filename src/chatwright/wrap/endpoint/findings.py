"""What `probe` finds out about a server, and the endpoint file that says so."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatwright.wires.quirks import Quirks
from chatwright.wrap.endpoint.toml import comment, pair

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
        fields: Further keys of the endpoint file, such as `key_env`.
        notes: What else there is to say, for the head of the file.
    """

    url: str
    model: str | None
    wire: str
    requests: int = 0
    query: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def quirks(self) -> Quirks:
        """The quirks that were found out."""
        return Quirks(**{each.name: each.value for each in self._told(quirks=True)})

    def _told(self, *, quirks: bool) -> list[Finding]:
        of_kind = [each for each in self.found if (each.name in Quirks.model_fields) == quirks]
        return [each for each in of_kind if each.value is not None]

    def as_toml(self) -> str:
        """Return them as an endpoint file, with the evidence as comments."""
        query = self.fields.get("query") or {}
        key = '# key_env = "ACME_KEY"  # the environment variable with the key, where it needs one'
        lines = [
            "# What `chatwright probe` found out; edit it as you like.",
            *map(comment, self.notes),
            pair("url", self.url),
            *([pair("model", self.model)] if self.model else []),
            pair("wire", self.wire),
            *([] if "key_env" in self.fields else [key]),
            *(pair(name, value) for name, value in self.fields.items()),
            *(
                comment(f"query.{name}: left out, for it may be a secret")
                for name in self.query
                if name not in query
            ),
        ]
        for name, value, evidence in self._told(quirks=False):
            lines += [comment(evidence), pair(name, value)]
        lines += ["", "[quirks]"]
        for name, value, evidence in self.found:
            if name in Quirks.model_fields:
                lines.append(comment(evidence))
                told = value is not None
                lines.append(pair(name, value) if told else comment(f"{name}: could not be told"))
        return "\n".join(lines) + "\n"
