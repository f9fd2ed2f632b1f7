"""Options that several commands have."""

from typing import Annotated

import typer

__all__ = ["MaxTokens", "Stop", "System", "Temperature"]

System = Annotated[str | None, typer.Option("--system", "-s", help="The system message.")]
Stop = Annotated[list[str] | None, typer.Option("--stop", help="A stop sequence; may be repeated.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", "-t", help="Sampling temperature.")
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", help="The longest answer, in tokens.")
]
