"""`chatwright probe`: what a server can do, as an endpoint file."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from chatwright.cli import app, handled
from chatwright.errors import ChatwrightError, LoadError

if TYPE_CHECKING:
    from chatwright.wrap.endpoint.curl.sketch import Sketch
    from chatwright.wrap.endpoint.findings import Findings

    Found: TypeAlias = Findings | Sketch

__all__ = ["curl_command", "probe"]


@app.command("probe")
@handled
def probe(
    url: Annotated[
        str | None, typer.Argument(help="Where the server is: http://host:8000/v1.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Default: the first that it lists and that answers."),
    ] = None,
    wire: Annotated[
        str, typer.Option("--wire", help="openai, ollama, anthropic or responses.")
    ] = "openai",
    curl: Annotated[
        str | None,
        typer.Option("--curl", help="A curl command that works; a file with one; or - for input."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the endpoint file goes.")
    ] = Path("endpoint.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> int:
    """Find out by some thirty short requests what a server can do, and write it down.

    A key is taken from CHATWRIGHT_API_KEY, which the file names if the server wants it. With
    --curl, where and how to ask is taken from the command; its secrets go into environment
    variables, never into the file.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import

    if (url is None) == (curl is None):
        typer.echo("chatwright: probe wants a URL, or --curl with a command", err=True)
        return 2
    if output.exists() and not force:
        typer.echo(f"chatwright: {output} is there already; --force replaces it", err=True)
        return 2
    with Console(stderr=True).status("probing", spinner="dots") as status:

        def tell(what: str) -> None:
            status.update(f"{what} …")

        if curl is not None:
            return _by_curl(curl_command(curl), output, tell)
        from chatwright.wrap.endpoint.probe import probe as probing  # noqa: PLC0415  slow to import

        findings = asyncio.run(probing(url or "", model=model, wire=wire, tell=tell))
    _write(findings, output)
    if variable := findings.fields.get("key_env"):
        typer.echo(f"the key is not in the file: it is taken from {variable}, as it was here")
    typer.echo(f"{output} is written; now: chatwright chat --model {output}")
    return 0


def curl_command(given: str) -> str:
    """Return what `--curl` gives: a command as it is, out of a file, or out of the input.

    Raises:
        LoadError: It is none of these.
    """
    if given == "-":
        return sys.stdin.read()
    with contextlib.suppress(OSError, ValueError):  # no file has such a name
        return Path(given).read_text(encoding="utf-8")
    if re.search(r"\bcurl(\.exe)?\s", given):
        return given
    # It is not shown: it may be a command, with a key in it.
    raise LoadError("--curl takes a curl command, a file with one, or -")


def _by_curl(command: str, output: Path, tell: Callable[[str], None]) -> int:
    from chatwright.wrap.endpoint.curl.learn import (  # noqa: PLC0415  slow to import
        probe_curl,
        says_hello,
    )

    file, environment = asyncio.run(probe_curl(command, tell=tell))
    _write(file, output)
    tell("the file that is written")
    try:
        said = says_hello(output, environment)
    except ChatwrightError as error:
        typer.echo(f"{output} is written, but a model of it does not answer: {error}", err=True)
        return 1
    typer.echo(f"{output} is written, and a model of it answers: {said[:80]!r}")
    _tell_of(environment)
    typer.echo(f"now: chatwright chat --model {output}")
    return 0


def _tell_of(environment: Mapping[str, str]) -> None:
    for name in environment:
        typer.echo(f"set {name} to the command's own value first: export {name}=…")


def _write(found: "Found", output: Path) -> None:
    _show(found)
    output.write_text(found.as_toml(), encoding="utf-8")


def _show(found: "Found") -> None:
    from rich.console import Console  # noqa: PLC0415  slow to import
    from rich.table import Table  # noqa: PLC0415  slow to import

    table = Table(title=f"{found.model or 'the model'} at {found.url}", title_justify="left")
    table.add_column("quirk", no_wrap=True)
    table.add_column("value")
    table.add_column("evidence", style="dim")
    for name, value, evidence in found.found:
        shown = ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
        table.add_row(name, "?" if value is None else shown, evidence)
    table.caption = f"{found.requests} requests"
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(f"- {note}", markup=False)
