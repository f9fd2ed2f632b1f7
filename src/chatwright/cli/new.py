"""`chatwright new`: a package of one's own around a chat model."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli import app, handled
from chatwright.cli.probe import curl_command

__all__ = ["new"]


@app.command("new")
@handled
def new(
    name: Annotated[str, typer.Argument(help="The package's name: langchain-acme.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            "-k",
            help="What stands behind the model: function, class, endpoint, gguf, command or agent. "
            "Default: class.",
        ),
    ] = None,
    endpoint: Annotated[
        Path | None, typer.Option("--from", help="An endpoint file to begin with.")
    ] = None,
    curl: Annotated[
        str | None,
        typer.Option("--curl", help="A curl command that works; a file with one; or - for input."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder to make. Default: of its name, here."),
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", help="Who publishes it. Default: Git's user.name.")
    ] = None,
    api: Annotated[
        str | None, typer.Option("--api", help="Where the LLM, or its API, is described: https://…")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", help="The Git address of the template. Default: the one here."),
    ] = None,
) -> int:
    """Make a package for LangChain around a model of yours, with tests that pass, to be published.

    Nothing is ever overwritten. With --curl the command is sent some thirty times, to find out how
    the server is spoken to; its secrets go into no file.
    """
    from chatwright.new import create  # noqa: PLC0415  slow to import

    if endpoint is not None and curl is not None:
        typer.echo("chatwright: give --from or --curl, not both", err=True)
        return 2
    known = endpoint is not None or curl is not None
    kind = kind or ("endpoint" if known else "class")
    with tempfile.TemporaryDirectory() as scratch:
        if curl is not None:
            endpoint = _probed(curl_command(curl), Path(scratch) / "endpoint.toml")
        folder = create(
            name,
            kind=kind,
            folder=output,
            endpoint=endpoint,
            author=author,
            api=api,
            template=template,
        )
    typer.echo(f"{folder} is made; its README.md says what is left to do. Now:")
    typer.echo(f'  cd {folder} && pip install -e ".[test]" && pytest')
    return 0


def _probed(command: str, file: Path) -> Path:
    """Write down what a curl command teaches."""
    from rich.console import Console  # noqa: PLC0415  slow to import

    from chatwright.wrap.endpoint.curl.learn import (  # noqa: PLC0415  slow to import
        probe_curl,
        says_hello,
    )

    with Console(stderr=True).status("probing", spinner="dots") as status:
        learned = asyncio.run(probe_curl(command, tell=lambda what: status.update(f"{what} …")))
    file.write_text(learned.file.as_toml(), encoding="utf-8")
    says_hello(file, learned.environment)
    for name in learned.environment:
        typer.echo(f"set {name} to the command's own value: export {name}=…")
    return file
