"""Options that several commands have."""

import sys
from typing import Annotated

import typer

__all__ = ["MaxTokens", "Stop", "System", "Temperature", "import_from_here"]

System = Annotated[str | None, typer.Option("--system", "-s", help="The system message.")]
Stop = Annotated[list[str] | None, typer.Option("--stop", help="A stop sequence; may be repeated.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", "-t", help="Sampling temperature.")
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", help="The longest answer, in tokens.")
]


def import_from_here() -> None:
    """Let MODULE:ATTRIBUTE be in the working directory."""
    if "" not in sys.path:
        sys.path.insert(0, "")
