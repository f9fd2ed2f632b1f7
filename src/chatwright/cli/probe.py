"""`chatwright probe`: what a server can do, as an endpoint file."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli import app, handled

if TYPE_CHECKING:
    from chatwright.wrap.endpoint.findings import Findings

__all__ = ["probe"]


@app.command("probe")
@handled
def probe(
    url: Annotated[str, typer.Argument(help="Where the server is: http://host:8000/v1.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Default: the first that it lists.")
    ] = None,
    wire: Annotated[
        str, typer.Option("--wire", help="openai, ollama, anthropic or responses.")
    ] = "openai",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the endpoint file goes.")
    ] = Path("endpoint.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> int:
    """Find out by some twenty short requests what a server can do, and write it down.

    A key is taken from CHATWRIGHT_API_KEY.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import

    from chatwright.wrap.endpoint.probe import probe as probing  # noqa: PLC0415  slow to import

    if output.exists() and not force:
        typer.echo(f"chatwright: {output} is there already; --force replaces it", err=True)
        return 2
    console = Console(stderr=True)
    with console.status("probing", spinner="dots") as status:
        findings = asyncio.run(
            probing(url, model=model, wire=wire, tell=lambda what: status.update(f"{what} …"))
        )
    _show(findings)
    output.write_text(findings.as_toml(), encoding="utf-8")
    typer.echo(f"{output} is written; now: chatwright chat --model {output}")
    return 0


def _show(findings: "Findings") -> None:
    from rich.console import Console  # noqa: PLC0415  slow to import
    from rich.table import Table  # noqa: PLC0415  slow to import

    table = Table(title=f"{findings.model or 'the model'} at {findings.url}", title_justify="left")
    table.add_column("quirk", no_wrap=True)
    table.add_column("value")
    table.add_column("evidence", style="dim")
    for name, value, evidence in findings.found:
        shown = ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
        table.add_row(name, "?" if value is None else shown, evidence)
    table.caption = f"{findings.requests} requests"
    Console().print(table)
