"""What servers say in place of an answer: whether something failed, how, and in which words.

No two gateways report a failure in the same way where they answer with the status 200.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatwright.wires import WIRES

__all__ = ["codes_in", "is_report", "plain", "status_in", "words_in"]

_NAMED: Mapping[str, int] = {
    name: status for wire in WIRES.values() for name, status in wire.errors.items()
}
"""An error's `type` or `code`, on any wire, and the status that goes with it."""
_ERRORS = frozenset(
    {
        *("err", "errcode", "errmsg", "errno", "error", "errorcode", "errordescription"),
        *("errormessage", "errormsg", "errors", "errortype", "exception", "fault"),
    }
)
"""Keys, written small and in one, below which nothing stands unless something has failed."""
_STATES = ("event", "object", "result", "state", "status", "type")
_FAILED = frozenset({"error", "exception", "fail", "failed", "failure"})
_FINE = frozenset({"", "0", "200", "false", "none", "null", "ok", "success", "[]", "{}"})
_CODES = ("code", "status", "statuscode", "errorcode", "errcode", "httpstatus", "type")
_WORDS = (
    *("message", "detail", "msg", "statusmsg", "errormessage", "errormsg", "errmsg"),
    *("errordescription", "description", "reason", "faultstring", "title", "text"),
)
"""Keys of words, the likeliest first."""
_TALK = frozenset({"content", "messages", "output", "usage"})
"""Keys below which words are somebody's, and no server's."""
_DEEP = 4
_LATER = (
    (429, re.compile(r"rate.?limit|too many requests|throttl|resource.?exhausted|slow down")),
    (503, re.compile(r"overload|unavailable|capacity|try again|retry later|temporar|\bbusy\b")),
)
"""Words that say that asking again may help, and the status that says the same."""


def is_report(event: Any) -> bool:
    """Tell whether what a server sends in place of a piece of its answer reports a failure.

    There are many shapes beside `{"error": …}`: vLLM's `object`, FastAPI's `detail`, MiniMax's
    `base_resp`, Cloudflare's `errors` and `success`, FastChat's `error_code`, RFC 9457's `status`,
    and `code` beside `msg` of many.

    Args:
        event: A payload of which nothing could be read.
    """
    if isinstance(event, list):
        return any(isinstance(each, Mapping) and is_report(each) for each in event)
    if not isinstance(event, Mapping):
        return False
    fields = {_key(name): value for name, value in event.items()}
    if any(_fails(fields[name]) for name in _ERRORS & fields.keys()):
        return True
    if fields.get("ok") is False or fields.get("success") is False:
        return True
    states = [fields.get(name) for name in _STATES]
    if any(isinstance(each, str) and each.lower() in _FAILED for each in states):
        return True
    base = fields.get("baseresp")
    if isinstance(base, Mapping) and _fails(base.get("status_code")):
        return True
    if fields.get("choices"):
        return False
    if "choices" in fields and words_in(event, 1) is not None:  # below, words may be citations'
        return True
    failed = _is_status(fields.get("status")) or ("code" in fields and _fails(fields["code"]))
    return bool(fields.get("detail")) or (failed and words_in(event) is not None)


def words_in(said: Any, depth: int = _DEEP) -> str | None:
    """Return the words in which a failure is told, wherever they stand; None without any.

    Args:
        said: JSON, parsed.
        depth: How deep to look.
    """
    if isinstance(said, list):
        inside = (words_in(each, depth - 1) for each in said if depth)
        return next((each for each in inside if each), None)
    if not isinstance(said, Mapping) or not depth:
        return None
    fields = {_key(name): value for name, value in said.items()}
    inner = [fields[name] for name in ("error", "err", "fault", "errors") if name in fields]
    for each in inner:
        if found := words_in(each, depth - 1):
            return found
    for name in _WORDS:
        if isinstance(text := fields.get(name), str) and text.strip():
            return text
    for each in inner:
        first = each[0] if isinstance(each, list) and each else each
        if isinstance(first, str) and first.strip():
            return first
    rest = (words_in(each, depth - 1) for name, each in fields.items() if name not in _TALK)
    return next((each for each in rest if each), None)


def status_in(said: Any) -> int | None:
    """Return the HTTP status that a report stands for: by a code in it, or by its words.

    Args:
        said: JSON, parsed; or text.

    Returns:
        None where it tells none. That of words is one after which asking again may help.
    """
    codes = [] if isinstance(said, str) else [*_codes(said, _DEEP)]
    for code in codes:
        if _is_status(code):
            return int(code)
        if code in _NAMED:
            return _NAMED[code]
    words = said if isinstance(said, str) else words_in(said) or ""
    told = " ".join([words, *codes]).lower()
    return next((status for status, later in _LATER if later.search(told)), None)


def codes_in(said: Any) -> str:
    """Return the names of a failure that stand beside its words, such as `insufficient_quota`.

    Args:
        said: JSON, parsed; or text, which has none.
    """
    return " ".join(code for code in _codes(said, _DEEP) if not code.isdecimal())


def _codes(said: Any, depth: int) -> Iterator[str]:
    """Yield what stands where failures have their codes, the outermost first."""
    inner: Sequence[Any] = said if isinstance(said, list) else ()
    if isinstance(said, Mapping):
        fields = {_key(name): value for name, value in said.items()}
        found = (fields[name] for name in _CODES if name in fields)
        yield from (str(each) for each in found if isinstance(each, str | int))
        inner = [each for name, each in fields.items() if name not in _TALK]
    for each in inner if depth else ():
        yield from _codes(each, depth - 1)


def plain(text: str) -> str:
    """Return text on one line; of an HTML page, only what is read on it."""
    if re.search(r"<(!doctype|html|body|head)\b", text, re.IGNORECASE):
        text = re.sub(r"(?is)<(script|style)\b.*?(</\1>|\Z)|<!--.*?(-->|\Z)", " ", text)
        text = html.unescape(re.sub(r"<[^>]*(>|\Z)", " ", text))
    return " ".join(text.split())


def _key(name: Any) -> str:
    return str(name).replace("_", "").replace("-", "").lower()


def _fails(value: Any) -> bool:
    """Tell whether a value that stands where failures are told tells one."""
    return str(value).strip().lower() not in _FINE


def _is_status(code: Any) -> bool:
    text = str(code)
    return len(text) == 3 and text.isdecimal() and "400" <= text < "600"  # noqa: PLR2004  digits
