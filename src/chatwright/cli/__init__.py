"""The command line: parsing and terminal output only.

Exit codes: 0 all went well, 1 an expected error, 2 wrong use, 130 interrupted, 3 a bug.
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    name="chatwright",
    help="Any LLM, a first-class LangChain chat model. Prove it. Run it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    from chatwright.cli.streams import prepare  # noqa: PLC0415  as below

    prepare()
    try:
        app()
    except OSError as error:  # what is printed without a command: help, the version
        sys.exit(_reported(error))


def handled(command: Callable[..., int]) -> Callable[..., None]:
    """Make a function that returns an exit code a command; its errors become exit codes too."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        try:
            code = command(**arguments)
        except KeyboardInterrupt:
            code = 130
        except typer.BadParameter:
            raise  # wrong use: typer says so, with code 2
        except BrokenPipeError:
            # The reader has gone, as `| head` does; what is still to be flushed goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except Exception as error:  # noqa: BLE001  this is where they all end
            code = _reported(error)
        raise typer.Exit(code)

    return run


def _reported(error: Exception) -> int:
    """Say what happened: in one line if it was expected, else with all that a report needs."""
    from langchain_core.exceptions import LangChainException  # noqa: PLC0415  slow to import
    from pydantic import ValidationError  # noqa: PLC0415  slow to import

    from chatwright.errors import ChatwrightError  # noqa: PLC0415  slow to import

    if isinstance(error, ChatwrightError | LangChainException | ValidationError | OSError):
        typer.echo(f"chatwright: {error}", err=True)
        return 1
    traceback.print_exception(error)
    typer.echo(
        "chatwright: this is a bug; please report the lines above with the command and "
        f"Python {sys.version.split()[0]}, chatwright {_version()}",
        err=True,
    )
    return 3


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415  only where it is asked for

    return version("chatwright")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatwright {_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


from chatwright.cli import (  # noqa: E402  they register
    batch,
    cassette,
    chat,
    check,
    doctor,
    explain,
    models,
    new,
    probe,
    pull,
    serve,
)

_ = (batch, cassette, chat, check, doctor, explain, models, new, probe, pull, serve)
