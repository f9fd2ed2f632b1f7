"""`chatwright pull`: fetch weights."""

from typing import Annotated

import typer

from chatwright.cli import app, handled

__all__ = ["pull"]


@app.command("pull")
@handled
def pull(
    name: Annotated[str, typer.Argument(help="The weights' name: smollm2.")],
) -> int:
    """Fetch weights into the cache folder, unless they are here already."""
    from rich.console import Console  # noqa: PLC0415  slow to import
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    from chatwright.wrap.gguf import weights  # noqa: PLC0415  slow to import

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(f"checking {name}", total=None)
        path = weights.pull(
            name, lambda done, size: bar.update(task, completed=done, total=size, visible=True)
        )
    typer.echo(path)
    return 0
