"""What went wrong with a row: whether it may go well another time, and whose matter it is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from chatwright.errors import ChatwrightError, EngineError, SourceError

__all__ = ["Kind", "Trouble", "TroubleError", "trouble_of"]

Kind: TypeAlias = Literal["row", "busy", "away", "refused", "lost"]
"""Whose matter it is: the row's own; the other side has too much to do; it can't be reached or is
broken; it does not let us in; where it was asked is lost, time and again."""

_KINDS: tuple[tuple[tuple[type[BaseException], ...], Kind], ...] = (
    ((ContextOverflowError, ModelInvalidRequestError), "row"),
    ((ModelRateLimitError,), "busy"),
    ((ModelAuthenticationError, ModelPermissionDeniedError, ModelNotFoundError), "refused"),
    ((ModelConnectionError, ModelTimeoutError, TimeoutError, ConnectionError), "away"),
)
_STATUSES: Mapping[int, Kind] = {
    401: "refused",
    403: "refused",
    404: "refused",
    408: "away",
    409: "away",
    425: "away",
    429: "busy",
    503: "busy",
    529: "busy",
}
_BROKEN = 500
_TOO_MANY = 429
_CAUSES = 5
"""How far causes are followed."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong.

    Args:
        type: The error's class.
        message: Its words.
        kind: Whose matter it is.
        status: The HTTP status, where a server answered.
        after: Seconds after which the other side asks to try again.
    """

    type: str
    message: str
    kind: Kind = "row"
    status: int | None = None
    after: float | None = None

    @property
    def may_pass(self) -> bool:
        """Whether it may go well another time."""
        return self.kind in {"busy", "away"}

    @property
    def counts(self) -> bool:
        """Whether it was a try: where the other side wants fewer requests, it was none."""
        return self.kind != "busy" or self.status not in {None, _TOO_MANY}

    def fields(self) -> dict[str, Any]:
        """Return it as it is written."""
        status = {} if self.status is None else {"status": self.status}
        return {"type": self.type, "message": self.message, **status}


class TroubleError(Exception):
    """What went wrong where a row was asked, which was in another process.

    Args:
        trouble: What went wrong.
    """

    def __init__(self, trouble: Trouble) -> None:
        """Keep it."""
        super().__init__(trouble.message)
        self.trouble = trouble


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error means for a batch.

    Errors of langchain-core's and ours are known by their classes; those of SDKs by the status
    that they carry, `status_code` or `status`, and by the names that all of them give their
    classes for lost connections and time limits.

    Args:
        error: The error.
    """
    if isinstance(error, TroubleError):
        return error.trouble
    status = _status_of(error)
    kind = next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), None)
    if kind is None and status is not None:
        kind = _STATUSES.get(status, "away" if status >= _BROKEN else "row")
    if kind is None:
        kind = _by_name(error)
    message = str(error) or repr(error)
    return Trouble(type(error).__name__, message[:2000], kind, status, _after(error))


def _by_name(error: BaseException) -> Kind:
    if isinstance(error, EngineError):
        return "away"
    if isinstance(error, ChatwrightError):
        return "row"
    names = {cls.__name__ for cls in type(error).__mro__}
    lost = ("ConnectionError", "ConnectError", "Timeout", "TimeoutException", "APITimeoutError")
    return "away" if names & {*lost, "APIConnectionError", "TransportError"} else "row"


def _status_of(error: BaseException) -> int | None:
    for each in _with_causes(error):
        for name in ("status", "status_code"):
            found = getattr(each, name, None)
            if isinstance(found, int) and not isinstance(found, bool) and 100 <= found < 600:  # noqa: PLR2004  HTTP's
                return found
    return None


def _after(error: BaseException) -> float | None:
    if isinstance(error, SourceError) and error.retry_after is not None:
        return error.retry_after
    for each in _with_causes(error):
        headers = getattr(getattr(each, "response", None), "headers", None)
        told = headers.get("retry-after") if isinstance(headers, Mapping) else None
        if told is not None:
            return _seconds(str(told))
    return None


def _seconds(told: str) -> float | None:
    """Return the seconds that a `Retry-After` header names (RFC 9110, section 10.2.3)."""
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None


def _with_causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while len(chain) < _CAUSES and chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain
