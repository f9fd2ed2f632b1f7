"""What went wrong, as HTTP tells it: a status, a message, and when to come again."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from chatwright.errors import (
    ChatwrightError,
    ParameterError,
    SchemaError,
    SourceError,
    StructureError,
)
from chatwright.wires.framing import json_bytes
from chatwright.wires.wire import Server

__all__ = ["REQUEST_ID", "Failure", "HttpError", "failure_of", "identified"]

REQUEST_ID = "request-id"
"""The header by which Anthropic's clients know a request; OpenAI's has `x-` before it."""


def identified(number: int | str) -> dict[str, str]:
    """Return the headers that tell a request's id.

    Args:
        number: Unlike any other request's.
    """
    told = f"req_{number}"
    return {REQUEST_ID: told, f"x-{REQUEST_ID}": told}


log = logging.getLogger("chatwright.serve")


class HttpError(Exception):
    """A request that is refused before any model sees it.

    Args:
        status: The HTTP status.
        message: Why, and what helps.
        retry_after: Seconds after which to try again; None to say nothing of it.
        detail: Further fields of the error, such as its `code`, on wires that have them.
    """

    def __init__(
        self, status: int, message: str, retry_after: float | None = None, **detail: str
    ) -> None:
        """Keep all of it."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.detail = detail


class Failure(NamedTuple):
    """What went wrong.

    Args:
        status: The HTTP status.
        message: What the client is told.
        retry_after: Seconds after which to try again; None to say nothing of it.
        detail: Further fields of the error, on wires that have them.
    """

    status: int
    message: str
    retry_after: float | None = None
    detail: Mapping[str, str] = MappingProxyType({})

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, round(self.retry_after)))}

    def body(self, server: Server | None, request_id: str | None = None) -> bytes:
        """Return it in a wire's own form; in OpenAI's general one where there is none.

        Args:
            server: The server's end of the wire.
            request_id: Is told where the wire has a place for it.
        """
        fields: Mapping[str, Any] = {"error": {"message": self.message, "code": self.status}}
        if server is not None:
            fields = server.error(self.status, self.message)
        if request_id and "type" in fields:
            fields = {**fields, "request_id": request_id}
        if self.detail:
            fields = {**fields, "error": {**fields["error"], **self.detail}}
        return json_bytes(fields)


_KINDS: tuple[tuple[type[BaseException], int], ...] = (
    (ContextOverflowError, 400),
    (ModelInvalidRequestError, 400),
    (ParameterError, 400),
    (SchemaError, 400),
    (ModelRateLimitError, 429),
    # The server's own key is refused, not the client's: 401 would have that changed.
    (ModelAuthenticationError, 502),
    (ModelPermissionDeniedError, 502),
    (ModelConnectionError, 502),
    (StructureError, 502),
    (ModelTimeoutError, 504),
    (TimeoutError, 504),
    (NotImplementedError, 400),
)


def failure_of(error: BaseException) -> Failure:
    """Return what a client is told of an error: its words only where they were written for users.

    Args:
        error: The error.
    """
    if isinstance(error, HttpError):
        return Failure(error.status, str(error), error.retry_after, error.detail)
    status = next((code for kind, code in _KINDS if isinstance(error, kind)), 500)
    if isinstance(error, StructureError):  # whose words are the answer's
        log.error("an answer does not conform to its response format")
    elif status >= 500:  # noqa: PLR2004  the server's own fault
        log.error("the model failed", exc_info=error)
    if isinstance(error, ChatwrightError | ModelError | NotImplementedError):
        after = error.retry_after if isinstance(error, SourceError) else None
        upstream = getattr(error, "status", None)
        if status == 500 and isinstance(upstream, int) and upstream >= 500:  # noqa: PLR2004
            status = upstream if upstream in {502, 503, 504, 529} else 502
        return Failure(status, str(error) or type(error).__name__, after)
    return Failure(status, f"the model failed with {type(error).__name__}; the server's log has it")
