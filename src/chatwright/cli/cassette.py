"""`chatwright cassette`: cassettes to and from OpenAI's batch files."""

from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli import app, handled

__all__ = ["from_batch", "to_batch"]

cassettes = typer.Typer(
    help="Turn cassettes into OpenAI's batch files, and such files into cassettes.",
    no_args_is_help=True,
)
app.add_typer(cassettes, name="cassette")

Cassette = Annotated[Path, typer.Argument(help="The cassette.")]


@cassettes.command("to-batch")
@handled
def to_batch(
    cassette: Cassette,
    requests: Annotated[Path, typer.Argument(help="The file of requests to write.")],
    answers: Annotated[
        Path | None, typer.Argument(help="The file of answers to write. Default: none.")
    ] = None,
) -> int:
    """Write what a cassette holds as OpenAI's batch files; none that is there is overwritten."""
    from chatwright.wrap.recording.batch_files import rows  # noqa: PLC0415  slow to import
    from chatwright.wrap.recording.cassette import read  # noqa: PLC0415  slow to import

    if not cassette.exists():
        raise FileNotFoundError(f"there is no cassette {cassette}")
    made = list(rows(read(cassette)))
    whole = [each.answer for each in made if each.answer]
    for path, lines in ((requests, [each.request for each in made]), (answers, whole)):
        if path is not None:
            with path.open("xb") as file:
                file.writelines(lines)
    typer.echo(f"{len(made)} requests, {len(whole)} of them with a whole answer")
    return 0


@cassettes.command("from-batch")
@handled
def from_batch(
    requests: Annotated[Path, typer.Argument(help="The batch's file of requests.")],
    answers: Annotated[Path, typer.Argument(help="Its file of answers, or of errors.")],
    cassette: Cassette,
) -> int:
    """Put a batch's requests and answers into a cassette, beside what it holds."""
    from chatwright.wrap.recording.batch_files import exchanges  # noqa: PLC0415  slow to import
    from chatwright.wrap.recording.cassette import extend  # noqa: PLC0415  slow to import

    with requests.open("rb") as asked, answers.open("rb") as answered:
        found = list(exchanges(asked, answered))
    extend(cassette, found)
    typer.echo(f"{len(found)} answers")
    return 0
