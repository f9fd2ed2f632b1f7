"""What a server says has failed, as the error that LangChain has for it."""

import contextlib
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
from chatwright.wires.jsonio import dumps, loads
from chatwright.wrap.hints import fix_for, lengths_in
from chatwright.wrap.masking import Mask
from chatwright.wrap.reports import codes_in, is_report, plain, status_in, words_in

__all__ = ["SHOWN_BYTES", "Came", "failure", "reported", "request_id", "retry_after", "unanswered"]

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
_SPENT = re.compile(
    r"insufficient.?(quota|balance|funds|credit)|exceeded your current quota|out of credits"
    r"|credit balance|check your (plan|billing)|plans? (&|and) billing"
    r"|billing[_ ](hard[_ ]limit|not[_ ]active|details)",
    re.IGNORECASE,
)
"""What no asking again can cure: somebody has to pay first."""
_SOON = re.compile(r"retry in \d", re.IGNORECASE)
"""What Gemini says of a quota that is for a minute only, in the words of one that is used up."""
_LENGTHY = frozenset({400, 413, 422, 500})
_REFUSED = 400
_CONFLICT = 409
_SERVER = 500
_AGAIN = "x-should-retry"
"""Where OpenAI's and Anthropic's servers say whether to ask again (`_base_client.py`, openai)."""
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")


def failure(
    came: "Came", body: bytes, headers: Mapping[str, str], *, name: str, mask: Mask
) -> SourceError:
    """Return what a status of 300 or above stands for.

    Args:
        came: Where the answer came from.
        body: What came with it.
        headers: The response's headers.
        name: The model's name.
        mask: Hides secrets.
    """
    status, shown = came.status, mask(body.decode("utf-8", "replace"))[:SHOWN_BYTES]
    said, codes, is_json = _said(shown)
    wait = _wait(headers)
    hints = (_fix(status, said, codes), _waiting(wait))
    # What is no JSON is rarely the API's own: a proxy's, or another address's.
    where = f"HTTP {status}" if is_json else mask(str(came))
    message = f"{name}: {where}: {said or 'without a word'}{''.join(hints)}"
    error = _made(status, message, f"{said} {codes}")
    error.body = shown
    error.request_id = request_id(headers)
    error.retry_after = wait
    if (again := headers.get(_AGAIN, "").lower()) in {"true", "false"}:
        error.is_retryable = again == "true"
    if status < _REFUSED:
        there = mask(headers.get("location", "which it does not name"))
        moved = f"{name}: HTTP {status}: the server sends on to another address; use that: {there}"
        error.args = (moved,)
    return error


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's name for a request, for who asks its people about it."""
    return next((headers[each] for each in _REQUEST_IDS if each in headers), None)


class Came(NamedTuple):
    """Where an answer came from, as errors tell it.

    Args:
        status: The HTTP status.
        kind: The content type; empty for none.
        address: The URL, without its query.
        proxy: The host and port of the proxy by which it came; empty for none.
    """

    status: int
    kind: str
    address: str
    proxy: str = ""

    def __str__(self) -> str:
        """Write it as it stands in an error."""
        by = f" by way of the proxy {self.proxy}" if self.proxy else ""
        return f"HTTP {self.status}, {self.kind or 'no content type'}, {self.address}{by}"


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
    status, told = status_in(said), f"{message} {mask(codes_in(said))}"
    text = f"{name}: the server reports in its answer{_where(came, mask)}: {message}{fix_for(told)}"
    made = _made(status, text, told)
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
    made = OutputError(text) if status is None else _made(status, text, shown)
    if status is None:
        made.status = came and came.status
    made.body = shown
    return made


def _shown(said: Any, mask: Mask) -> str:
    return mask(plain(said) if isinstance(said, str) else dumps(said).decode())[:SHOWN_BYTES]


def _where(came: Came | None, mask: Mask) -> str:
    return "" if came is None else f" ({mask(str(came))})"


def _made(status: int | None, message: str, told: str) -> SourceError:
    """Return the error for a status, or for none.

    Args:
        status: The status.
        message: What the error says.
        told: What the server says, its codes included.
    """
    lengths = lengths_in(told) if status is None or status in _LENGTHY else None
    if lengths is not None:
        error: SourceError = PromptTooLongError(message, *lengths)
    elif status is None:
        error = EngineError(message)
    else:
        kind = _KINDS.get(status, EngineError if status >= _SERVER else InvalidRequestError)
        error = kind(message)
    error.status = status
    if status == _CONFLICT:
        error.is_retryable = True
    elif _SPENT.search(told) and not _SOON.search(told):
        error.is_retryable = False
    return error


def _said(body: str) -> tuple[str, str, bool]:
    """Return the message in a body, else the body; the codes beside it; and if it is JSON."""
    try:
        fields = loads(body)
    except SourceError:
        return plain(body), "", False
    codes = codes_in(fields)
    if isinstance(fields, list) and len(fields) == 1:  # Gemini's
        (fields,) = fields
    if isinstance(fields, Mapping):
        inner = fields.get("error", fields)
        if isinstance(inner, str):
            return inner, codes, True
        if isinstance(inner, Mapping) and isinstance(inner.get("message"), str):
            return str(inner["message"]), codes, True
    return plain(body), codes, True


def _fix(status: int, said: str, codes: str) -> str:
    """Return what fixes a failure: by what is said of it, else by its status."""
    if found := fix_for(said) or fix_for(codes):
        return found
    if status == 401:  # noqa: PLR2004
        return " (give the key as api_key, or as CHATWRIGHT_API_KEY)"
    if status in {404, 405}:
        return " (is the address right? OpenAI's wire usually ends in /v1)"
    return ""


def _waiting(seconds: float | None) -> str:
    return f" (it asks to try again after {seconds:g} s)" if seconds else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait; OpenAI's header of milliseconds is exact."""
    with contextlib.suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    return retry_after(headers.get("retry-after"))


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
