"""`chatwright doctor`: what is installed here, what lacks, and whether it works."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from chatwright.cli import app, handled

__all__ = ["doctor"]

_MARKS = {"ok": "✓", "lacks": "-", "broken": "✗", "told": " "}


@app.command("doctor")
@handled
def doctor(
    *,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Try what is there, for 30 seconds at most.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one line a finding.")
    ] = False,
) -> int:
    """Tell what is installed here, what lacks and how to install it, and try it.

    The exit code is 1 where something is broken; what is optional may lack.
    """
    from chatwright.doctor import examine  # noqa: PLC0415  slow to import

    section, broken = "", 0
    for each in examine(tests=test):
        broken += each.state == "broken"
        if as_json:
            typer.echo(json.dumps(asdict(each), ensure_ascii=False))
            continue
        if each.section != section:
            section = each.section
            typer.echo(section)
        typer.echo(f"  {_MARKS[each.state]} {each.name}: {each.told}")
        if each.fix:
            typer.echo(f"      {each.fix}")
    if broken and not as_json:
        typer.echo(f"{broken} broken")
    return 1 if broken else 0
