"""Any LLM, a first-class LangChain chat model. Prove it. Run it.

The names are imported when they are first used (PEP 562), so that `chatwright --help` does not
wait for LangChain.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.asgi import create_app, serve_on_ray
    from chatwright.batch import arun_batch, run_batch
    from chatwright.checks.run.engine import check
    from chatwright.core.protocols import HERMES, LLAMA3, MISTRAL, REACT, ToolProtocol
    from chatwright.core.tags import ReasoningTags
    from chatwright.deltas import (
        Block,
        Delta,
        Finish,
        Reasoning,
        Refusal,
        Text,
        ToolCallDelta,
        Usage,
    )
    from chatwright.errors import (
        AuthenticationError,
        BatchError,
        CassetteError,
        ChatwrightError,
        ClusterError,
        ContentError,
        DefinitionError,
        EngineError,
        InterruptedAnswerError,
        InvalidRequestError,
        LoadError,
        MissingCallError,
        MissingExtraError,
        NotFoundError,
        OutputError,
        PackageError,
        ParameterError,
        PermissionDeniedError,
        PromptTooLongError,
        RateLimitError,
        RefusalError,
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
    from chatwright.langchain.transcript import Transcript
    from chatwright.run.scale import Scale
    from chatwright.wires.quirks import Quirks
    from chatwright.wrap.command import ChatCommand
    from chatwright.wrap.described import ResponseSpec
    from chatwright.wrap.echo import CustomChatModelAdvanced
    from chatwright.wrap.endpoint.auth import OAuth2ClientCredentials
    from chatwright.wrap.endpoint.file import endpoint_fields
    from chatwright.wrap.endpoint.model import ChatEndpoint
    from chatwright.wrap.endpoint.spec import WireSpec
    from chatwright.wrap.function import ChatFunction, chat_model
    from chatwright.wrap.gguf import ChatGGUF
    from chatwright.wrap.load import load
    from chatwright.wrap.recording.model import recorded
    from chatwright.wrap.runnable import ChatRunnable

_HOMES = {
    "chatwright.asgi": ("create_app", "serve_on_ray"),
    "chatwright.batch": ("arun_batch", "run_batch"),
    "chatwright.checks.run.engine": ("check",),
    "chatwright.core.protocols": ("HERMES", "LLAMA3", "MISTRAL", "REACT", "ToolProtocol"),
    "chatwright.core.tags": ("ReasoningTags",),
    "chatwright.deltas": (
        "Block",
        "Delta",
        "Finish",
        "Reasoning",
        "Refusal",
        "Text",
        "ToolCallDelta",
        "Usage",
    ),
    "chatwright.errors": (
        "AuthenticationError",
        "BatchError",
        "CassetteError",
        "ChatwrightError",
        "ClusterError",
        "ContentError",
        "DefinitionError",
        "EngineError",
        "InterruptedAnswerError",
        "InvalidRequestError",
        "LoadError",
        "MissingCallError",
        "MissingExtraError",
        "NotFoundError",
        "OutputError",
        "PackageError",
        "ParameterError",
        "PermissionDeniedError",
        "PromptTooLongError",
        "RateLimitError",
        "RefusalError",
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
    "chatwright.langchain.transcript": ("Transcript",),
    "chatwright.run.scale": ("Scale",),
    "chatwright.wrap.command": ("ChatCommand",),
    "chatwright.wrap.described": ("ResponseSpec",),
    "chatwright.wrap.echo": ("CustomChatModelAdvanced",),
    "chatwright.wrap.endpoint.auth": ("OAuth2ClientCredentials",),
    "chatwright.wrap.endpoint.file": ("endpoint_fields",),
    "chatwright.wrap.endpoint.model": ("ChatEndpoint",),
    "chatwright.wires.quirks": ("Quirks",),
    "chatwright.wrap.endpoint.spec": ("WireSpec",),
    "chatwright.wrap.function": ("ChatFunction", "chat_model"),
    "chatwright.wrap.gguf": ("ChatGGUF",),
    "chatwright.wrap.load": ("load",),
    "chatwright.wrap.recording.model": ("recorded",),
    "chatwright.wrap.runnable": ("ChatRunnable",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "HERMES",
    "LLAMA3",
    "MISTRAL",
    "REACT",
    "AuthenticationError",
    "BatchError",
    "Block",
    "Capabilities",
    "CassetteError",
    "ChatCommand",
    "ChatEndpoint",
    "ChatFunction",
    "ChatGGUF",
    "ChatModel",
    "ChatRunnable",
    "ChatwrightError",
    "ClusterError",
    "ContentError",
    "CostCallbackHandler",
    "CustomChatModelAdvanced",
    "DefinitionError",
    "Delta",
    "EngineError",
    "Finish",
    "InterruptedAnswerError",
    "InvalidRequestError",
    "LoadError",
    "MissingCallError",
    "MissingExtraError",
    "NotFoundError",
    "OAuth2ClientCredentials",
    "OutputError",
    "PackageError",
    "ParameterError",
    "PermissionDeniedError",
    "Price",
    "PromptTooLongError",
    "Quirks",
    "RateLimitError",
    "Reasoning",
    "ReasoningTags",
    "Refusal",
    "RefusalError",
    "Request",
    "ResponseSpec",
    "RolePolicy",
    "Scale",
    "SchemaError",
    "SourceConnectionError",
    "SourceError",
    "SourceTimeoutError",
    "StructureError",
    "Text",
    "ToolCallDelta",
    "ToolProtocol",
    "Transcript",
    "Usage",
    "WeightsError",
    "WireSpec",
    "arun_batch",
    "chat_model",
    "check",
    "create_app",
    "endpoint_fields",
    "load",
    "recorded",
    "run_batch",
    "serve_on_ray",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
