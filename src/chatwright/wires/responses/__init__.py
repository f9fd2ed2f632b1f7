"""OpenAI's Responses. https://platform.openai.com/docs/api-reference/responses."""

from chatwright.wires.hosts import HOSTS
from chatwright.wires.quirks import Quirks
from chatwright.wires.responses import client, reader, server
from chatwright.wires.responses.names import ERRORS, MAX_TOKENS, PATH
from chatwright.wires.wire import USUAL, Server, Wire

__all__ = ["WIRE"]

WIRE = Wire(
    name="responses",
    path=PATH,
    framing="sse",
    errors=ERRORS,
    quirks=Quirks(max_tokens=MAX_TOKENS).over(USUAL),
    accepts=client.ACCEPTS,
    hosts=HOSTS,
    media=frozenset({"file", "image"}),
    write=client.write,
    reader=reader.Reader,
    server=Server(read=server.read, writer=server.Writer, error=server.error),
)
