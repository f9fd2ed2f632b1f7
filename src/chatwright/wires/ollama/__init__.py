"""Ollama's own chat, in lines of JSON.

https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from chatwright.wires.ollama import client, server
from chatwright.wires.ollama.names import PATH
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import USUAL, Server, Wire

__all__ = ["WIRE"]

WIRE = Wire(
    name="ollama",
    path=PATH,
    framing="ndjson",
    quirks=Quirks(
        tool_choice=frozenset({"auto"}), developer="system", max_tokens="num_predict"
    ).over(USUAL),
    accepts=client.ACCEPTS,
    media=frozenset({"image"}),
    write=client.write,
    reader=client.Reader,
    server=Server(read=server.read, writer=server.Writer, error=server.error),
)
