"""Cassettes as OpenAI's batch files, and such files as cassettes."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import convert_to_messages

from chatwright.deltas import Finish
from chatwright.errors import CassetteError, ContentError, OutputError, SourceError
from chatwright.langchain.call import Call
from chatwright.langchain.request import Request
from chatwright.langchain.run import Run
from chatwright.wires import WIRES
from chatwright.wires.batches import BATCHES
from chatwright.wires.jsonio import dumps, loads
from chatwright.wires.wire import Server
from chatwright.wrap.endpoint.batched import BatchedEndpoint, answering
from chatwright.wrap.recording.cassette import CUT, Exchange
from chatwright.wrap.recording.deltas import as_delta
from chatwright.wrap.recording.requests import read
from chatwright.wrap.recording.secrets import Secrets
from chatwright.wrap.recording.take import DeltaRenderer, Take

__all__ = ["Row", "exchanges", "rows"]

_WIRE = WIRES["openai"]
_FORM = BATCHES["openai"]
_OPENAI = "https://api.openai.com/v1"
_OURS = frozenset({"include_stop"})
"""What of a recorded request no server knows."""
_FAILED = 500
_UNSENT = frozenset({"stream", "stream_options"})


class Row(NamedTuple):
    """A recorded exchange in batch files.

    Args:
        request: Its line in a file of requests.
        answer: Its line in a file of answers; nothing for one that was not read to its end.
    """

    request: bytes
    answer: bytes


def rows(recorded: Iterable[Exchange]) -> Iterator[Row]:
    """Yield exchanges as lines of batch files; they are named by what is asked.

    Raises:
        ContentError: An answer holds what OpenAI's form has no place for.
    """
    assert _WIRE.server is not None  # noqa: S101  ours have one
    times: Counter[str] = Counter()
    for each in recorded:
        digest = hashlib.blake2b(each.key.encode(errors="replace"), digest_size=8).hexdigest()
        times[digest] += 1
        name = f"{digest}-{times[digest]}"
        body = {key: value for key, value in each.request.items() if key not in _OURS}
        request = _FORM.line(name, _WIRE.path, body)
        try:
            response = _response(_WIRE.server, name, body, each.answer)
        except ContentError as error:
            raise ContentError(f"line {each.line} of the cassette: {error}") from error
        told = {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}
        yield Row(request, dumps(told) + b"\n" if response else b"")


def _response(
    server: Server, name: str, body: Mapping[str, Any], answer: Sequence[Any]
) -> dict[str, Any] | None:
    """Return an answer as a batch's response; None for one that was not read to its end."""
    told: dict[str, Any] = {"status_code": 200, "request_id": name}
    last = answer[-1] if answer else None
    if last == CUT:
        return None
    if isinstance(last, dict) and "error" in last:
        fields = last["error"].get("fields", {})
        status = fields.get("status") or fields.get("status_code") or _FAILED
        return {**told, "status_code": status, "body": server.error(status, last["error"]["text"])}
    deltas = [as_delta(each) for each in answer]
    named = [each.metadata.get("model_name") for each in deltas if isinstance(each, Finish)]
    asked = server.read(body)
    asked = dataclasses.replace(
        asked, number=name, created=0, model=next(filter(None, named), asked.model)
    )
    writer = server.writer(asked)
    for delta in deltas:
        writer.add(delta)
    return {**told, "body": writer.whole()}


def exchanges(requests: Iterable[bytes], answers: Iterable[bytes]) -> Iterator[Exchange]:
    """Yield what the lines of two batch files make: requests, and what was answered or went wrong.

    What expired, was cancelled or has no answer is left out.

    Raises:
        CassetteError: A line is of no such file, or an answer's request is not there.
    """
    asked = dict(_asked(number, line) for number, line in _lines(requests))
    for number, line in _lines(answers):
        try:
            answer = _FORM.answer(line)
        except OutputError as error:
            raise CassetteError(f"line {number} of the answers: {error}") from None
        if answer.key not in asked:
            raise CassetteError(
                f"line {number} of the answers: no request has the custom_id {answer.key!r}; are "
                "these the answers to those requests?"
            )
        if answer.fate == "answered":
            yield _exchange(asked[answer.key], answer.status, answer.body)


def _lines(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _asked(number: int, line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        told = loads(line)
        body = told["body"]
        request = {name: each for name, each in body.items() if name not in _UNSENT}
        return told["custom_id"], {
            **request,
            "messages": read(convert_to_messages(body["messages"])),
        }
    except (AttributeError, KeyError, NotImplementedError, OutputError, TypeError, ValueError):
        raise CassetteError(
            f"line {number} of the requests is no request for chat completions: {line[:100]!r}"
        ) from None


def _exchange(request: Mapping[str, Any], status: int, body: Any) -> Exchange:
    """Return the exchange of a request and the response to it, which is read as an endpoint's."""
    model = BatchedEndpoint(
        base_url=_OPENAI,
        model_name=str(request.get("model") or ""),
        max_retries=0,
        cache=False,
    )
    take = Take(dict(request))
    asked = Request([], streamed=False)
    renderer = DeltaRenderer(holds_calls=False)
    with answering(status, body):
        try:
            for delta in Call(model, asked, renderer, Run(None), ()).drive():
                take.add(_unpriced(delta))
        except SourceError as error:
            take.end(error)
    return dataclasses.replace(take.exchange(Secrets()), seconds=())


def _unpriced(delta: Any) -> Any:
    """Return a delta without a cost: the file does not say what was paid."""
    if not isinstance(delta, Finish):
        return delta
    metadata = {name: each for name, each in delta.metadata.items() if name != "cost"}
    return dataclasses.replace(delta, metadata=metadata)
