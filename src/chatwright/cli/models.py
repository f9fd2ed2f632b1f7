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
    width = max(len(name) for name, _, _ in rows)
    for name, about, state in rows:
        typer.echo(f"{name:<{width}}  {state:<12}  {about}")
    return 0
