"""What a server says has failed, as the error that LangChain has for it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from chatwright.errors import (
    AuthenticationError,
    EngineError,
    InvalidRequestError,
    NotFoundError,
    OutputError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.wrap.jsonio import dumps, loads
from chatwright.wrap.masking import Mask
from chatwright.wrap.reports import is_report, plain, status_in, words_in

__all__ = ["SHOWN_BYTES", "Came", "failure", "reported", "retry_after", "unanswered"]

SHOWN_BYTES = 2048
"""How much of a body an error shows."""

_KINDS: Mapping[int, type[SourceError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: SourceTimeoutError,
    429: RateLimitError,
    504: SourceTimeoutError,
}
_TOO_LONG = re.compile(
    r"context[_ ](length|size|window)|maximum context|too many tokens|prompt is too long"
    r"|exceeds? the (available )?context|exceed_context",
    re.IGNORECASE,
)
_SPENT = re.compile(
    r"insufficient.?(quota|balance|funds|credit)|exceeded your current quota|out of credits"
    r"|credit balance|check your (plan|billing)",
    re.IGNORECASE,
)
"""What no asking again can cure: somebody has to pay first."""
_TOKENS = re.compile(r"(\d[\d,]*) (?:tokens|maximum)")
_LENGTHY = frozenset({400, 413, 422})
_REFUSED = 400
_CONFLICT = 409
_SERVER = 500
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")


def failure(
    status: int, body: bytes, headers: Mapping[str, str], *, name: str, mask: Mask
) -> SourceError:
    """Return what a status of 300 or above stands for.

    Args:
        status: The HTTP status.
        body: What came with it.
        headers: The response's headers.
        name: The model's name.
        mask: Hides secrets.
    """
    shown = mask(body.decode("utf-8", "replace"))[:SHOWN_BYTES]
    said = _said(shown)
    error = _made(status, f"{name}: HTTP {status}: {said or 'without a word'}{_hint(status)}")
    error.body = shown
    error.request_id = next((headers[each] for each in _REQUEST_IDS if each in headers), None)
    error.retry_after = retry_after(headers.get("retry-after"))
    if status < _REFUSED:
        there = mask(headers.get("location", "which it does not name"))
        moved = f"{name}: HTTP {status}: the server sends on to another address; use that: {there}"
        error.args = (moved,)
    return error


class Came(NamedTuple):
    """Where an answer came from, as errors tell it.

    Args:
        status: The HTTP status.
        kind: The content type; empty for none.
        address: The URL, without its query.
    """

    status: int
    kind: str
    address: str

    def __str__(self) -> str:
        """Write it as it stands in an error."""
        return f"HTTP {self.status}, {self.kind or 'no content type'}, {self.address}"


def reported(said: Any, *, name: str, mask: Mask, came: Came | None = None) -> SourceError:
    """Return what a failure stands for that a server reports inside of its answer.

    Args:
        said: What it says: JSON, parsed, or text.
        name: The model's name.
        mask: Hides secrets.
        came: Where the answer came from; None for a program's.
    """
    shown = _shown(said, mask)
    message = mask(words_in(said) or "")[:SHOWN_BYTES] or shown or "without a word"
    status = status_in(said)
    text = f"{name}: the server reports in its answer{_where(came, mask)}: {message}"
    made = EngineError(text) if status is None else _made(status, text)
    if status is None:  # nothing says that asking again may help
        made.status, made.is_retryable = came and came.status, False
    made.body = shown
    return made


def unanswered(
    said: Any, *, name: str, mask: Mask, came: Came | None = None, hint: str
) -> SourceError:
    """Return the error for what holds nothing of an answer.

    Args:
        said: What came in place of one: JSON, parsed, or text.
        name: The model's name.
        mask: Hides secrets.
        came: Where it came from; None for a program.
        hint: What may be wrong.
    """
    if is_report(said):
        return reported(said, name=name, mask=mask, came=came)
    shown = _shown(said, mask)
    text = (
        f"{name}: nothing of an answer could be read in what the server sent"
        f"{_where(came, mask)}: {shown or 'the body is empty'} ({hint})"
    )
    status = status_in(said)
    made = OutputError(text) if status is None else _made(status, text)
    if status is None:
        made.status = came and came.status
    made.body = shown
    return made


def _shown(said: Any, mask: Mask) -> str:
    return mask(plain(said) if isinstance(said, str) else dumps(said).decode())[:SHOWN_BYTES]


def _where(came: Came | None, mask: Mask) -> str:
    return "" if came is None else f" ({mask(str(came))})"


def _made(status: int, message: str) -> SourceError:
    if status in _LENGTHY and _TOO_LONG.search(message):
        error: SourceError = PromptTooLongError(message, *_lengths(message))
    else:
        kind = _KINDS.get(status, EngineError if status >= _SERVER else InvalidRequestError)
        error = kind(message)
    error.status = status
    if status == _CONFLICT:
        error.is_retryable = True
    elif _SPENT.search(message):
        error.is_retryable = False
    return error


def _lengths(message: str) -> tuple[int | None, int | None]:
    """Return the lengths of prompt and context, where the message names the two in tokens."""
    found = sorted({int(each.replace(",", "")) for each in _TOKENS.findall(message)})
    return (found[-1], found[0]) if len(found) == 2 else (None, None)  # noqa: PLR2004  both


def _said(body: str) -> str:
    """Return the message in a body, if there is one; else the body."""
    try:
        fields = loads(body)
    except SourceError:
        return plain(body)
    if isinstance(fields, Mapping):
        inner = fields.get("error", fields)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Mapping) and isinstance(inner.get("message"), str):
            return str(inner["message"])
    return plain(body)


def _hint(status: int) -> str:
    if status == 401:  # noqa: PLR2004
        return " (give the key as api_key, or as CHATWRIGHT_API_KEY)"
    if status in {404, 405}:
        return " (is the address right? OpenAI's wire usually ends in /v1)"
    return ""


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    Args:
        value: Seconds, or an HTTP date.
        now: The time to count from. Default: now.
    """
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
