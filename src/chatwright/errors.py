"""Every error that Chatwright raises.

    ChatwrightError
    ├── the user's mistakes
    │   ├── DefinitionError      (TypeError)    a function or `reply` that can't be a source
    │   ├── ParameterError       (TypeError)    a call parameter that the model does not take
    │   ├── ContentError         (ModelInvalidRequestError)  content that the model does not take
    │   ├── SchemaError          (ValueError)   a schema that no answer can conform to
    │   ├── LoadError                           a model string that names nothing loadable
    │   │   └── WeightsError                    a weights file that can't be used
    │   ├── BatchError                          a batch that can't be run, or not go on
    │   ├── CassetteError                       a cassette that can't be used, or lacks a request
    │   ├── ClusterError                        a Ray cluster that can't give what is needed
    │   ├── PackageError                        a package that can't be made
    │   └── MissingExtraError    (ImportError)  an optional dependency is not installed
    └── SourceError              (ModelError)   the model's misbehaviour
        ├── OutputError          (TypeError)    it yielded what no source may yield
        ├── MissingCallError                    it was told to call a tool, and did not
        ├── StructureError       (OutputParserException)  its answer does not conform to the schema
        ├── RefusalError         (ModelRefusalError)  the model refuses, where a result is needed
        ├── InterruptedAnswerError              a graph was interrupted, and waits for a human
        ├── EngineError          (ModelAPIError) a local engine, or a server, failed
        ├── InvalidRequestError  (ModelInvalidRequestError)
        ├── AuthenticationError  (ModelAuthenticationError)
        ├── PermissionDeniedError (ModelPermissionDeniedError)
        ├── NotFoundError        (ModelNotFoundError)
        ├── RateLimitError       (ModelRateLimitError)
        ├── PromptTooLongError   (ContextOverflowError)
        ├── SourceTimeoutError   (ModelTimeoutError, TimeoutError)
        └── SourceConnectionError (ModelConnectionError, ConnectionError)

The classes in brackets are LangChain's (`langchain_core.exceptions`) or Python's own, so that code
that catches those catches these. What a user's own function raises is passed on as it is, except
for Python's `TimeoutError` and `ConnectionError`, which become their counterparts here.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
    OutputParserException,
)

try:
    from langchain_core.exceptions import ModelRefusalError
except ImportError:  # before langchain-core 1.7.5

    class ModelRefusalError(ModelError):  # type: ignore[no-redef]  # the same, until it is there
        """The model declines to produce what was asked for."""

        def __init__(self, message: str = "", *, raw_message: Any = None) -> None:
            """Keep the answer beside the message."""
            self.raw_message = raw_message
            super().__init__(message)


__all__ = [
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
]


class ChatwrightError(Exception):
    """The root of every error that Chatwright raises."""


class DefinitionError(ChatwrightError, TypeError):
    """A function, or a `reply` method, that can't be made a chat model."""


class ParameterError(ChatwrightError, TypeError):
    """A call parameter that the model does not take, or a value that it can't use."""


class ContentError(ChatwrightError, ModelInvalidRequestError):
    """Content in a message that the model does not take: an image for a text-only LLM, say."""


class SchemaError(ChatwrightError, ValueError):
    """A schema that is malformed, that no answer can conform to, or that is not supported."""


class LoadError(ChatwrightError):
    """A model string that names nothing that can be loaded."""


class WeightsError(LoadError):
    """A weights file that is missing, incomplete, of another format or not supported."""


class BatchError(ChatwrightError):
    """A batch that can't be run, or can't go on; what is done stays done."""


class CassetteError(ChatwrightError):
    """A cassette that can't be read or written, or that does not hold what is asked for."""


class ClusterError(ChatwrightError):
    """A Ray cluster that can't give what is needed, or can't start what is to answer there."""


class PackageError(ChatwrightError):
    """A package that can't be made: its name does not fit, or something is in its place."""


class MissingExtraError(ChatwrightError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing `package` and the `extra` that brings it."""
        super().__init__(
            f"{package} is not installed; fix it with: pip install 'chatwright[{extra}]'"
        )
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pickle by the two arguments, not by the message that they make."""
        return type(self), (self.package, self.extra)


class SourceError(ChatwrightError, ModelError):
    """The model, or what stands behind it, misbehaved."""

    partial_text = ""
    """What of the answer's text had come."""
    status: int | None = None
    """The HTTP status, where a server answered."""
    request_id: str | None = None
    """The server's name for the request, where it gave one."""
    body: str = ""
    """The first 2 kB of what a server, or a program, said of it; secrets are masked."""
    retry_after: float | None = None
    """Seconds after which a server asks to try again."""


class OutputError(SourceError, TypeError):
    """A source yielded or returned what no source may, or nothing at all."""


class MissingCallError(SourceError):
    """The model did not call the tool that it was told to, not even after asking again."""


class StructureError(SourceError, OutputParserException):
    """The model's answer does not conform to the schema, not even after asking again."""


class RefusalError(SourceError, ModelRefusalError):
    """The model refuses to answer where a result is needed; `raw_message` is what it said."""


class InterruptedAnswerError(SourceError):
    """A graph was interrupted, so that there is no answer.

    Args:
        message: What happened and how to go on.
        interrupts: LangGraph's interrupts, each with its `value` and `id`.
    """

    def __init__(self, message: str, interrupts: Sequence[Any] = ()) -> None:
        """Keep the interrupts beside the message."""
        super().__init__(message, interrupts)
        self.interrupts = tuple(interrupts)

    @property
    def value(self) -> Any:
        """The value of the first interrupt, which is nearly always the only one."""
        return self.interrupts[0].value if self.interrupts else None

    def __str__(self) -> str:
        """Only the message; it shows the values."""
        return str(self.args[0])


class EngineError(SourceError, ModelAPIError):
    """A local engine, a server or a program failed."""


class InvalidRequestError(SourceError, ModelInvalidRequestError):
    """The engine, or the server, refuses the request as it is."""


class AuthenticationError(SourceError, ModelAuthenticationError):
    """The server does not know the key (HTTP 401), or none could be had."""


class PermissionDeniedError(SourceError, ModelPermissionDeniedError):
    """The server does not allow this to the key (HTTP 403)."""


class NotFoundError(SourceError, ModelNotFoundError):
    """The server has no such model, or no such address (HTTP 404)."""


class RateLimitError(SourceError, ModelRateLimitError):
    """The server wants fewer requests (HTTP 429)."""


class PromptTooLongError(SourceError, ContextOverflowError):
    """The prompt does not fit into the model's context.

    Args:
        message: What happened and what fixes it.
        prompt_tokens: The prompt's length, in tokens; None where it was not told.
        context_tokens: The context's length, in tokens; likewise.
    """

    def __init__(
        self, message: str, prompt_tokens: int | None = None, context_tokens: int | None = None
    ) -> None:
        """Keep both numbers beside the message."""
        super().__init__(message, prompt_tokens, context_tokens)
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens

    def __str__(self) -> str:
        """Only the message; it names both numbers."""
        return str(self.args[0])


class SourceTimeoutError(SourceError, ModelTimeoutError, TimeoutError):
    """A time limit ran out."""


class SourceConnectionError(SourceError, ModelConnectionError, ConnectionError):
    """What stands behind the model can't be reached, or went away."""
