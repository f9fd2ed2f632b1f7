"""What a server says has failed, as the error that LangChain has for it."""

import base64
import contextlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

from chatwright.errors import (
    AuthenticationError,
    EngineError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    SourceError,
    SourceTimeoutError,
)
from chatwright.wires import WIRES
from chatwright.wrap.jsonio import dumps, loads

__all__ = ["SHOWN_BYTES", "Mask", "failure", "is_report", "reported", "retry_after"]

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
_NAMED: Mapping[str, int] = {
    name: status for wire in WIRES.values() for name, status in wire.errors.items()
}
"""An error's `type` or `code`, on any wire, and the status that goes with it."""
_TOO_LONG = re.compile(
    r"context[_ ](length|size|window)|maximum context|too many tokens|prompt is too long"
    r"|exceeds? the (available )?context|exceed_context",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"(\d[\d,]*) (?:tokens|maximum)")
_LENGTHY = frozenset({400, 413, 422})
_REFUSED = 400
_CONFLICT = 409
_SERVER = 500
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")


class Mask:
    """Hides secrets in what is shown.

    Args:
        secrets: What to hide; those shorter than four characters would hide too much.
    """

    SHORTEST = 4

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Start with these."""
        self._secrets: set[str] = set()
        for each in secrets:
            self.add(each)

    def add(self, secret: str) -> None:
        """Hide this one, too; of `Bearer KEY`, the key as well."""
        for each in (secret, *secret.split(" ")):
            if len(each) >= self.SHORTEST and each not in {"Bearer", "Basic"}:
                self._secrets |= {each, quote(each, safe=""), quote_plus(each), quote(each)}
                self._secrets.add(dumps(each).decode().strip('"'))  # as JSON escapes it
        if secret.startswith("Basic "):
            with contextlib.suppress(ValueError):
                password = base64.b64decode(secret.removeprefix("Basic ")).decode().partition(":")
                self.add(password[2])

    def __call__(self, text: str) -> str:
        """Return the text with its secrets hidden."""
        for each in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(each, "***")
        return text


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


def reported(error: Any, *, name: str, mask: Mask) -> SourceError:
    """Return what an error stands for that a server reports inside of its answer."""
    first = error[0] if isinstance(error, list) and error else error
    fields = first if isinstance(first, Mapping) else {"message": str(first)}
    inner = fields.get("error")
    if isinstance(inner, Mapping):
        fields = inner
    elif isinstance(inner, str):
        fields = {**fields, "message": inner}
    status = _status(fields)
    shown = mask(dumps(error).decode())[:SHOWN_BYTES]
    message = mask(str(_words(fields) or shown))[:SHOWN_BYTES]
    made = _made(status, f"{name}: the server reports in its answer: {message}")
    made.body = shown
    return made


def is_report(event: Any) -> bool:
    """Tell whether what a server sends in place of a piece of its answer reports a failure.

    There are many shapes beside `{"error": …}`: vLLM's `object`, FastAPI's `detail`, MiniMax's
    `base_resp`, Cloudflare's `errors`, FastChat's `error_code`, and `code` beside `msg` of many.

    Args:
        event: A payload of which nothing could be read.
    """
    if isinstance(event, list):
        return bool(event) and any(isinstance(e, Mapping) and e.get("error") for e in event)
    if not isinstance(event, Mapping) or event.get("choices"):
        return False
    if event.get("error") or event.get("errors") or event.get("object") == "error":
        return True
    base = event.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return True
    if any(event.get(name) for name in _CODES):
        return True
    words = any(isinstance(event.get(name), str) and event[name].strip() for name in _WORDS)
    code = event.get("code")
    failed = code is not None and str(code).lower() not in _FINE
    return (words and (failed or "choices" in event)) or bool(event.get("detail"))


_CODES = ("errorCode", "errorMessage", "error_code", "error_message", "error_msg")
_WORDS = ("detail", "message", "msg")
_FINE = frozenset({"", "0", "200", "ok", "success"})


def _words(fields: Mapping[str, Any]) -> Any:
    """Return the words in which a failure is told, wherever they stand; None without any."""
    for name in ("message", "detail", "msg", "status_msg", "error_message", "errorMessage"):
        if fields.get(name):
            return fields[name]
    for name in ("error_msg", "errors", "base_resp", "error", "text"):
        inner = fields.get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, Mapping) and (found := _words(inner)):
            return found
        if isinstance(inner, str) and inner:
            return inner
    return None


def _status(fields: Mapping[str, Any]) -> int:
    for key in ("status", "status_code", "code", "error_code", "type"):
        value = fields.get(key)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004  failures
            return value
        if isinstance(value, str) and value in _NAMED:
            return _NAMED[value]
    return _SERVER


def _made(status: int, message: str) -> SourceError:
    if status in _LENGTHY and _TOO_LONG.search(message):
        error: SourceError = PromptTooLongError(message, *_lengths(message))
    else:
        kind = _KINDS.get(status, EngineError if status >= _SERVER else InvalidRequestError)
        error = kind(message)
    error.status = status
    if status == _CONFLICT:
        error.is_retryable = True
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
        return " ".join(body.split())
    if isinstance(fields, Mapping):
        inner = fields.get("error", fields)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Mapping) and isinstance(inner.get("message"), str):
            return str(inner["message"])
    return " ".join(body.split())


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
