"""Every error that Chatwright raises.

    ChatwrightError
    ├── the user's mistakes
    │   ├── DefinitionError      (TypeError)    a function or `reply` that can't be a source
    │   ├── ParameterError       (TypeError)    a call parameter that the model does not take
    │   ├── ContentError         (ModelInvalidRequestError)  content that the model does not take
    │   ├── SchemaError          (ValueError)   a schema that no answer can conform to
    │   ├── LoadError                           a model string that names nothing loadable
    │   │   └── WeightsError                    a weights file that can't be used
    │   └── MissingExtraError    (ImportError)  an optional dependency is not installed
    └── SourceError              (ModelError)   the model's misbehaviour
        ├── OutputError          (TypeError)    it yielded what no source may yield
        ├── StructureError       (OutputParserException)  its answer does not conform to the schema
        ├── EngineError          (ModelAPIError)
        ├── InvalidRequestError  (ModelInvalidRequestError)
        ├── PromptTooLongError   (ContextOverflowError)
        ├── SourceTimeoutError   (ModelTimeoutError, TimeoutError)
        └── SourceConnectionError (ModelConnectionError, ConnectionError)

The classes in brackets are LangChain's (`langchain_core.exceptions`) or Python's own, so that code
that catches those catches these. What a user's own function raises is passed on as it is, except
for Python's `TimeoutError` and `ConnectionError`, which become their counterparts here.
"""

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelTimeoutError,
    OutputParserException,
)

__all__ = [
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


class MissingExtraError(ChatwrightError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing `package` and the `extra` that brings it."""
        super().__init__(
            f"{package} is not installed; mend it with: pip install 'chatwright[{extra}]'"
        )
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pickle by the two arguments, not by the message that they make."""
        return type(self), (self.package, self.extra)


class SourceError(ChatwrightError, ModelError):
    """The model, or what stands behind it, misbehaved."""


class OutputError(SourceError, TypeError):
    """A source yielded or returned what no source may, or nothing at all."""


class StructureError(SourceError, OutputParserException):
    """The model's answer does not conform to the schema, not even after asking again."""


class EngineError(SourceError, ModelAPIError):
    """A local engine failed."""


class InvalidRequestError(SourceError, ModelInvalidRequestError):
    """The engine refuses the request as it is."""


class PromptTooLongError(SourceError, ContextOverflowError):
    """The prompt does not fit into the model's context.

    Args:
        message: What happened and what mends it.
        prompt_tokens: The prompt's length, in tokens.
        context_tokens: The context's length, in tokens.
    """

    def __init__(self, message: str, prompt_tokens: int, context_tokens: int) -> None:
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
