"""Any LLM, a first-class LangChain chat model. Prove it. Run it.

The names are imported when they are first used (PEP 562), so that `chatwright --help` does not
wait for LangChain.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.core.protocols import HERMES, LLAMA3, MISTRAL, REACT, ToolProtocol
    from chatwright.core.tags import ReasoningTags
    from chatwright.deltas import Delta, Finish, Reasoning, Text, ToolCallDelta, Usage
    from chatwright.errors import (
        ChatwrightError,
        ContentError,
        DefinitionError,
        EngineError,
        InvalidRequestError,
        LoadError,
        MissingExtraError,
        OutputError,
        ParameterError,
        PromptTooLongError,
        SchemaError,
        SourceConnectionError,
        SourceError,
        SourceTimeoutError,
        StructureError,
        WeightsError,
    )
    from chatwright.langchain.capabilities import Capabilities, RolePolicy
    from chatwright.langchain.model import ChatModel
    from chatwright.langchain.prices import CostCallbackHandler, Price
    from chatwright.langchain.request import Request
    from chatwright.wrap.echo import CustomChatModelAdvanced
    from chatwright.wrap.function import ChatFunction, chat_model
    from chatwright.wrap.gguf import ChatGGUF
    from chatwright.wrap.load import load

_HOMES = {
    "chatwright.core.protocols": ("HERMES", "LLAMA3", "MISTRAL", "REACT", "ToolProtocol"),
    "chatwright.core.tags": ("ReasoningTags",),
    "chatwright.deltas": ("Delta", "Finish", "Reasoning", "Text", "ToolCallDelta", "Usage"),
    "chatwright.errors": (
        "ChatwrightError",
        "ContentError",
        "DefinitionError",
        "EngineError",
        "InvalidRequestError",
        "LoadError",
        "MissingExtraError",
        "OutputError",
        "ParameterError",
        "PromptTooLongError",
        "SchemaError",
        "SourceConnectionError",
        "SourceError",
        "SourceTimeoutError",
        "StructureError",
        "WeightsError",
    ),
    "chatwright.langchain.capabilities": ("Capabilities", "RolePolicy"),
    "chatwright.langchain.model": ("ChatModel",),
    "chatwright.langchain.prices": ("CostCallbackHandler", "Price"),
    "chatwright.langchain.request": ("Request",),
    "chatwright.wrap.echo": ("CustomChatModelAdvanced",),
    "chatwright.wrap.function": ("ChatFunction", "chat_model"),
    "chatwright.wrap.gguf": ("ChatGGUF",),
    "chatwright.wrap.load": ("load",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "HERMES",
    "LLAMA3",
    "MISTRAL",
    "REACT",
    "Capabilities",
    "ChatFunction",
    "ChatGGUF",
    "ChatModel",
    "ChatwrightError",
    "ContentError",
    "CostCallbackHandler",
    "CustomChatModelAdvanced",
    "DefinitionError",
    "Delta",
    "EngineError",
    "Finish",
    "InvalidRequestError",
    "LoadError",
    "MissingExtraError",
    "OutputError",
    "ParameterError",
    "Price",
    "PromptTooLongError",
    "Reasoning",
    "ReasoningTags",
    "Request",
    "RolePolicy",
    "SchemaError",
    "SourceConnectionError",
    "SourceError",
    "SourceTimeoutError",
    "StructureError",
    "Text",
    "ToolCallDelta",
    "ToolProtocol",
    "Usage",
    "WeightsError",
    "chat_model",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
