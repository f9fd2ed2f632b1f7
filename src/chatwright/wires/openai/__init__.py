"""OpenAI's chat completions, and what vLLM, llama.cpp, Ollama, TGI and gateways make of them.

https://platform.openai.com/docs/api-reference/chat
"""

import functools
from collections.abc import Mapping

from chatwright.wires.hosts import HOSTS
from chatwright.wires.openai import client, server
from chatwright.wires.openai.dialects import DIALECTS as _DIALECTS
from chatwright.wires.openai.dialects import OPENAI, Dialect
from chatwright.wires.openai.names import DONE, ERRORS, PATH, REASONING
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import USUAL, Server, Wire

__all__ = ["DIALECTS", "WIRE"]


def _spoken(name: str, dialect: Dialect) -> Wire:
    usual = Quirks(stream_usage=True, reasoning=REASONING, max_stops=4).over(USUAL)
    return Wire(
        name=name,
        path=PATH,
        framing="sse",
        done_marker=DONE,
        errors=ERRORS,
        quirks=dialect.quirks.over(usual),
        hosts={**HOSTS, **{each.host: each.quirks for each in _DIALECTS.values() if each.host}},
        accepts=client.ACCEPTS,
        write=client.write,
        reader=client.Reader,
        server=Server(
            read=server.read,
            writer=functools.partial(server.Writer, dialect=dialect),
            error=server.error,
        ),
    )


WIRE = _spoken("openai", OPENAI)
DIALECTS: Mapping[str, Wire] = {name: _spoken(name, each) for name, each in _DIALECTS.items()}
"""The wire as providers speak it their own way, by their names."""
