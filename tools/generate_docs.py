"""Make the generated pages anew: `make docs`. A test compares them with what is committed."""

import json
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
COMMANDS = (
    *("", "chat", "check", "probe", "explain", "models", "doctor", "new", "pull", "serve", "batch"),
    *("cassette to-batch", "cassette from-batch"),
)


def cli() -> str:
    """Return the page of the command line: its own help."""
    chatwright = Path(sys.executable).parent / "chatwright"
    env = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    parts = ["# The command line", "Made by `make docs` out of the commands' own help."]
    for command in COMMANDS:
        done = subprocess.run(  # noqa: S603  our own program
            [chatwright, *command.split(), "--help"],
            check=True,
            capture_output=True,
            text=True,
            env=env,
        )
        shown = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
        parts.append(
            f"```console\n$ chatwright {command}{' ' if command else ''}--help\n{shown}\n```"
        )
    return "\n\n".join(parts) + "\n"


def rules() -> str:
    """Return the reference of the rules: their own pages."""
    from chatwright.checks.reference import reference  # noqa: PLC0415  slow to import

    return reference()


def changes() -> str:
    """Return the changelog of the contract."""
    from chatwright.checks.reference import changelog  # noqa: PLC0415  slow to import

    return changelog()


def schema() -> str:
    """Return the JSON Schema of reports."""
    from chatwright.checks.reports.json import SCHEMA  # noqa: PLC0415  slow to import

    return json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"


PAGES = {
    "cli.md": cli,
    "reference/rules.md": rules,
    "reference/contract-changes.md": changes,
    "reference/report.schema.json": schema,
}


if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(make(), "utf-8")
