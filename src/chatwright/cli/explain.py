"""`chatwright explain`: what an LLM would be given."""

import json
from typing import Annotated

import typer

from chatwright.cli import app, handled
from chatwright.cli.options import MaxTokens, Stop, System, Temperature
from chatwright.cli.streams import say

__all__ = ["explain"]


@app.command("explain")
@handled
def explain(
    model: Annotated[str, typer.Argument(help="What `chat --model` takes, such as acme.toml.")],
    prompt: Annotated[str, typer.Argument(help="What to say.")],
    system: System = None,
    stop: Stop = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
) -> int:
    """Print the exact request that the LLM would get, secrets masked; nothing is sent."""
    from chatwright.cli.chat import loaded  # noqa: PLC0415  slow to import

    given = {"temperature": temperature, "max_tokens": max_tokens}
    parameters = {name: value for name, value in given.items() if value is not None}
    messages = [*([("system", system)] if system else []), ("human", prompt)]
    explained = loaded(model).explain(messages, stop=stop or None, **parameters)
    say(json.dumps(explained, indent=2, ensure_ascii=False), "json")
    return 0
