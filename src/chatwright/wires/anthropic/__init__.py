"""Anthropic's Messages. https://docs.anthropic.com/en/api/messages-streaming."""

from chatwright.wires.anthropic import client, server
from chatwright.wires.anthropic.names import ERRORS, PATH
from chatwright.wires.hosts import HOSTS
from chatwright.wires.quirks import Quirks
from chatwright.wires.wire import USUAL, Server, Wire

__all__ = ["WIRE"]

WIRE = Wire(
    name="anthropic",
    path=PATH,
    framing="sse",
    errors=ERRORS,
    quirks=Quirks(stop="reported", response_format="none", developer="system").over(USUAL),
    accepts=client.ACCEPTS,
    key_header="x-api-key",
    key_prefix="",
    headers={"anthropic-version": "2023-06-01"},
    hosts=HOSTS,
    media=frozenset({"file", "image"}),
    write=client.write,
    reader=client.Reader,
    server=Server(read=server.read, writer=server.Writer, error=server.error),
)
