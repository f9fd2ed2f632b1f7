"""How tools are spoken of in plain text, for LLMs that have no other way."""

from chatwright.core.protocols.general import HERMES, LLAMA3, MISTRAL, REACT, WRAPPED
from chatwright.core.protocols.named import PROTOCOLS, Named, protocol_of
from chatwright.core.protocols.protocol import ToolProtocol

__all__ = [
    "HERMES",
    "LLAMA3",
    "MISTRAL",
    "PROTOCOLS",
    "REACT",
    "WRAPPED",
    "Named",
    "ToolProtocol",
    "protocol_of",
]
