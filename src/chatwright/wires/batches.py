"""Providers' own batches: how requests go into one, and how its state and its answers are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from chatwright.errors import OutputError
from chatwright.wires.anthropic.names import ERRORS
from chatwright.wires.jsonio import dumps, loads

__all__ = ["BATCHES", "Answer", "Batch", "BatchFormat", "Fate", "Problem"]

Fate: TypeAlias = Literal["answered", "expired", "cancelled", "missing"]
"""What became of a request: there is an answer, or an error of its own; it was not asked in time;
the batch was cancelled before; or the batch has ended without a word of it."""
_ENDS: Mapping[str, Fate] = {
    "completed": "missing",
    "failed": "missing",
    "expired": "expired",
    "cancelled": "cancelled",
}
_CODES: Mapping[str, Fate] = {"batch_expired": "expired", "batch_cancelled": "cancelled"}
_OK = 200
_BAD_REQUEST = 400
_SERVER_ERROR = 500


class Answer(NamedTuple):
    """What became of one request.

    Args:
        key: Its `custom_id`.
        fate: What became of it.
        status: The HTTP status of its response.
        body: The response's body.
    """

    key: str
    fate: Fate
    status: int = 0
    body: Any = None


class Problem(NamedTuple):
    """Why a whole batch was refused.

    Args:
        code: The provider's name for it.
        message: Its words.
        line: The line of the file of requests that it is about, from 1; None for the whole.
    """

    code: str
    message: str
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """How far a batch is.

    Args:
        id: The provider's name for it.
        state: The provider's word: `in_progress`, `completed`.
        rest: What became of requests of which nothing is said; None while it is under way.
        total: How many requests it has, as far as the provider has counted.
        done: How many of them have ended, well or not.
        problems: Why it was refused, if it was.
        files: The ids of the files that hold its answers; empty where it needs none.
        file: The id of its file of requests; empty for none.
        token: What we called it when it was made; empty where the provider keeps no such thing.
    """

    id: str
    state: str
    rest: Fate | None
    total: int = 0
    done: int = 0
    problems: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()
    file: str = ""
    token: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether all of its answers are there."""
        return self.rest is not None


@dataclass(frozen=True, kw_only=True)
class BatchFormat:
    """How a provider's batches are written and read.

    Args:
        rows: How many requests a batch holds at most.
        size: How many bytes.
        line: Writes a request, of its `custom_id`, its path and its body, as one line.
        batch: Reads how far a batch is.
        answer: Reads what became of a request.
    """

    rows: int
    size: int
    line: Callable[[str, str, Mapping[str, Any]], bytes]
    batch: Callable[[Any], Batch]
    answer: Callable[[bytes], Answer]


def _unread(what: str, value: Any) -> OutputError:
    return OutputError(f"this is no {what} as the provider's reference has it: {str(value)[:300]}")


def _openai_line(key: str, path: str, body: Mapping[str, Any]) -> bytes:
    told = {"custom_id": key, "method": "POST", "url": f"/v1{path}", "body": _unstreamed(body)}
    return dumps(told) + b"\n"


def _anthropic_line(key: str, path: str, body: Mapping[str, Any]) -> bytes:
    del path  # there is but one
    return dumps({"custom_id": key, "params": _unstreamed(body)}) + b"\n"


def _unstreamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without what says that no stream is wanted, which batches don't know."""
    return {name: each for name, each in body.items() if name not in {"stream", "stream_options"}}


def _openai_batch(told: Any) -> Batch:
    try:
        counts = told.get("request_counts") or {}
        state = told["status"]
        errors = (told.get("errors") or {}).get("data") or ()
        return Batch(
            id=told["id"],
            state=state,
            rest=_ENDS.get(state),
            total=counts.get("total") or 0,
            done=(counts.get("completed") or 0) + (counts.get("failed") or 0),
            problems=tuple(
                Problem(each.get("code") or "", each.get("message") or "", each.get("line"))
                for each in errors
            ),
            files=tuple(
                each for name in ("output", "error") if (each := told.get(f"{name}_file_id"))
            ),
            file=told.get("input_file_id") or "",
            token=(told.get("metadata") or {}).get("chatwright") or "",
        )
    except (AttributeError, KeyError, TypeError):
        raise _unread("batch", told) from None


def _openai_answer(line: bytes) -> Answer:
    told = loads(line)
    try:
        key, response, error = told["custom_id"], told.get("response"), told.get("error")
        if response:
            return Answer(key, "answered", response["status_code"], response.get("body"))
        code = str((error or {}).get("code") or "")
        if fate := _CODES.get(code):
            return Answer(key, fate)
        status = _BAD_REQUEST if "invalid" in code else _SERVER_ERROR
        return Answer(key, "answered", status, {"error": error})
    except (AttributeError, KeyError, TypeError):
        raise _unread("line of a batch's output", told) from None


def _anthropic_batch(told: Any) -> Batch:
    try:
        counts: Mapping[str, int] = told.get("request_counts") or {}
        state = told["processing_status"]
        return Batch(
            id=told["id"],
            state=state,
            rest="missing" if state == "ended" else None,
            total=sum(counts.values()),
            done=sum(each for name, each in counts.items() if name != "processing"),
        )
    except (AttributeError, KeyError, TypeError):
        raise _unread("batch", told) from None


def _anthropic_answer(line: bytes) -> Answer:
    told = loads(line)
    try:
        key, result = told["custom_id"], told["result"]
        match result["type"]:
            case "succeeded":
                return Answer(key, "answered", _OK, result["message"])
            case "expired":
                return Answer(key, "expired")
            case "canceled":
                return Answer(key, "cancelled")
            case "errored":
                kind = result["error"]["error"]["type"]
                return Answer(key, "answered", ERRORS.get(kind, _SERVER_ERROR), result["error"])
    except (KeyError, TypeError):
        pass
    raise _unread("line of a batch's results", told)


_OPENAI = BatchFormat(
    rows=50_000,  # https://developers.openai.com/api/docs/guides/batch (rate limits)
    size=200_000_000,
    line=_openai_line,
    batch=_openai_batch,
    answer=_openai_answer,
)
BATCHES: Mapping[str, BatchFormat] = {
    "openai": _OPENAI,
    "responses": _OPENAI,
    "anthropic": BatchFormat(
        rows=100_000,  # https://docs.claude.com/en/docs/build-with-claude/batch-processing
        size=256_000_000,
        line=_anthropic_line,
        batch=_anthropic_batch,
        answer=_anthropic_answer,
    ),
}
"""How batches are written and read, by the wires of their requests."""
