"""The reference of the rules, in Markdown: `docs/reference/rules.md` is made of it."""

from chatwright.checks.changes import CHANGES
from chatwright.checks.rulebook import Rule, rules

__all__ = ["changelog", "page", "reference"]

OURS = "our own view: what breaks it is a warning."
INTRODUCTION = """\
# The rules

Made by `make docs` out of the rules themselves. `chatwright check MODEL` tries them;
`chatwright check --explain P3` prints one.

**scripted**: tried with a backend that plays a script, a fake upstream on loopback, or a script in
place of the source of a model of Chatwright's. **live**: can be tried on the model as it is."""


def page(rule: Rule, level: int = 1) -> str:
    """Return what there is to say of a rule.

    Args:
        rule: The rule.
        level: That of its heading.
    """
    needs = f" · needs {', '.join(sorted(rule.needs))}" if rule.needs else ""
    return (
        f"{'#' * level} {rule.id}\n\n**{rule.title}**\n\n"
        f"{rule.section} · {rule.severity.value} · {rule.layer}{needs} · version {rule.version}\n\n"
        f"{rule.page}\n\n*Fix:* {rule.fix}\n\n*Source:* {rule.source or OURS}\n"
    )


def changelog() -> str:
    """Return what has changed in the contract, in Markdown."""
    parts = ["# Changes of the contract", "Made by `make docs`. Reports name the version."]
    for each in CHANGES:
        told = "\n".join(f"- **{rule}**: {what}" for rule, what in each.rules.items())
        parts += [f"## {each.version}: {each.why}", *([told] if told else [])]
    return "\n\n".join(parts) + "\n"


def reference() -> str:
    """Return the pages of our own rules, by section."""
    parts, section = [INTRODUCTION], ""
    for each in rules():
        if not each.test.__module__.startswith("chatwright."):
            continue
        if each.section != section:
            section = each.section
            parts.append(f"## {section}")
        parts.append(page(each, 3).rstrip())
    return "\n\n".join(parts) + "\n"
