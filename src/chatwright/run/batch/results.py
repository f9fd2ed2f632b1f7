"""A row's result: what a model answered, or what went wrong, as it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from langchain_core.messages import AIMessage

from chatwright.deltas import Block
from chatwright.langchain.incoming import Incoming
from chatwright.run.batch.failures import Trouble
from chatwright.run.batch.journal import line_of
from chatwright.run.batch.row import Row
from chatwright.wires import WIRES
from chatwright.wires.asked import Asked

__all__ = [
    "FORMATS",
    "NOTHING",
    "Format",
    "Known",
    "Result",
    "Took",
    "answered",
    "copied",
    "failed",
    "known",
]

Format: TypeAlias = Literal["jsonl", "openai", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_OWN = "chatwright"
"""The field of OpenAI's batch output that holds what has no place there."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row.

    Args:
        row: The row.
        fields: What is written.
        trouble: What went wrong; None where nothing did.
        tokens: Tokens in, and out; 0 where that is not known.
        cost: What it cost, in USD; None where no price is known.
        seconds: How long it took.
        line: The same, as a line.
    """

    row: Row
    fields: Mapping[str, Any]
    trouble: Trouble | None = None
    tokens: tuple[int, int] = (0, 0)
    cost: float | None = None
    seconds: float = 0.0
    line: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Write it.

        Raises:
            ParameterError: It holds what JSON can't.
        """
        object.__setattr__(self, "line", line_of(self.fields))


@dataclass(frozen=True, slots=True)
class Took:
    """What an answer took.

    Args:
        started: When its row was first asked, in seconds since 1970.
        seconds: How long it took from then, waiting for another try included.
        attempts: How often it was asked.
    """

    started: float
    seconds: float
    attempts: int

    def fields(self) -> dict[str, Any]:
        """Return it as it is written."""
        started, seconds = round(self.started, 3), round(self.seconds, 4)
        return {"started": started, "seconds": seconds, "attempts": self.attempts}


NOTHING = Took(0.0, 0.0, 0)


class Known(NamedTuple):
    """What has to be known of a result that stands in a file.

    Args:
        key: Its row's key.
        own: What tells it from that of an equal row: the row's id, or its number among those.
        cost: What it cost, in USD.
        tokens: Tokens in, and out.
    """

    key: bytes
    own: str | None
    cost: float
    tokens: tuple[int, int]


def answered(row: Row, message: AIMessage, parsed: Any, took: Took, form: Format) -> Result:
    """Return an answer as a row's result.

    Args:
        row: The row.
        message: The answer.
        parsed: The value that it holds, where a schema was given.
        took: What it took.
        form: The output's format; `parquet` and `jsonl` hold the same.
    """
    usage: Mapping[str, Any] = message.usage_metadata or {}
    told = message.response_metadata.get("cost")
    cost = told["total"] if told and told["currency"] == "USD" else None
    tokens = (usage.get("input_tokens", 0), usage.get("output_tokens", 0))
    spent = {"usage": message.usage_metadata, "cost": cost, **took.fields()}
    if form == "openai":
        body = _completion(row, message, took)
        response = {"status_code": 200, "request_id": body["id"], "body": body}
        fields = _of_openai(row, response, None, {"parsed": parsed, **spent})
    else:
        fields = {"key": row.key.hex(), "id": row.name, **_said(message), "parsed": parsed, **spent}
    return Result(row, fields, None, tokens, cost, took.seconds)


def failed(row: Row, trouble: Trouble, took: Took, form: Format) -> Result:
    """Return what went wrong as a row's result.

    Args:
        row: The row.
        trouble: What went wrong.
        took: What it took.
        form: The output's format.
    """
    if form == "openai":
        error = {"code": trouble.type, "message": trouble.message}
        status = trouble.status and {"status_code": trouble.status, "request_id": "", "body": None}
        fields = _of_openai(row, status or None, error, {"place": row.place, **took.fields()})
    else:
        head = {"key": row.key.hex(), "id": row.name}
        fields = {**head, "error": trouble.fields(), "place": row.place, **took.fields()}
    return Result(row, fields, trouble, seconds=took.seconds)


def copied(row: Row, result: Mapping[str, Any], trouble: Trouble | None = None) -> Result:
    """Return the result of an equal row, which cost nothing once more.

    Args:
        row: The row.
        result: What is written of the equal one.
        trouble: What went wrong with that, if anything did.
    """
    own = {**NOTHING.fields()}
    if trouble is None:
        own["cost"] = None
    else:
        own["place"] = row.place
    fields = {name: each for name, each in result.items() if name != "sum"}
    if _OWN in fields:
        fields |= {"custom_id": row.name, _OWN: {**fields[_OWN], **own}}
    else:
        fields |= {"id": row.name, **own}
    return Result(row, fields, trouble)


def known(fields: Mapping[str, Any]) -> Known:
    """Return what has to be known of a result that was written.

    Args:
        fields: What is written.
    """
    told = fields.get(_OWN) or fields
    key, name = told["key"], fields.get("custom_id") or fields.get("id")
    usage = told.get("usage") or {}
    own = None if name == key else name
    if not told.get("attempts"):  # an equal row's
        usage = {}
    tokens = (usage.get("input_tokens") or 0, usage.get("output_tokens") or 0)
    return Known(bytes.fromhex(key), own, told.get("cost") or 0.0, tokens)


def _said(message: AIMessage) -> dict[str, Any]:
    """Return what an answer says: its text, its calls, and what else there is."""
    said: dict[str, Any] = {"text": message.text}
    calls = [{"name": c["name"], "args": c["args"], "id": c["id"]} for c in message.tool_calls]
    unread = [{**each} for each in message.invalid_tool_calls]
    metadata = message.response_metadata
    reason = metadata.get("normalized_finish_reason") or metadata.get("finish_reason")
    said |= {"tool_calls": calls, "finish_reason": reason}
    if unread:
        said["invalid_tool_calls"] = unread
    if type(message.content) is not str or message.additional_kwargs:
        blocks: list[Any] = [*message.content_blocks]
        thought = "".join(b.get("reasoning") or "" for b in blocks if b["type"] == "reasoning")
        plain = {"text", "tool_call", "invalid_tool_call", "reasoning"}
        others = [each for each in blocks if each["type"] not in plain]
        said |= {"reasoning": thought} if thought else {}
        said |= {"blocks": others} if others else {}
    return said


def _completion(row: Row, message: AIMessage, took: Took) -> dict[str, Any]:
    """Return an answer as a chat completion, as OpenAI's batches hold them."""
    server = WIRES["openai"].server
    assert server is not None  # noqa: S101  ours has both ends
    name = message.response_metadata.get("model_name")
    asked = Asked(name, (), number=row.key.hex(), created=took.started + took.seconds)
    writer, incoming = server.writer(asked), Incoming()
    for delta in [*incoming.deltas(message), *incoming.end()]:
        if not isinstance(delta, Block):
            writer.add(delta)
    return {**writer.whole()}


def _of_openai(row: Row, response: Any, error: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of OpenAI's batch output; what has no place there stands in a field of ours."""
    key = row.key.hex()
    told = {"id": f"batch_req_{key}", "custom_id": row.name}
    return {**told, "response": response, "error": error, _OWN: {"key": key, **own}}
