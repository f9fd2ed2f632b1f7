"""`chatwright models`: what can be loaded here."""

import typer

from chatwright.cli import app, handled

__all__ = ["models"]


@app.command("models")
@handled
def models() -> int:
    """List what can be loaded here."""
    from chatwright.wrap.load import available  # noqa: PLC0415  slow to import

    rows = available()
    names, abouts = (max(map(len, column)) for column in [*zip(*rows, strict=True)][:2])
    for name, about, state in rows:
        typer.echo(f"{name:<{names}}  {about:<{abouts}}  {state}")
    return 0
