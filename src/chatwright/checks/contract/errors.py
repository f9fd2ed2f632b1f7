"""Errors, cancellation, concurrency: how calls end that don't end well."""

import json
from collections.abc import Iterator
from typing import Any

from langchain_core import exceptions

from chatwright.checks.outcome import expect, warn
from chatwright.checks.probes.answers import streaming
from chatwright.checks.probes.inspection import is_bare, said, wire
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Usage
from chatwright.testing import Bytes, Cut, Pause, Raise, Received, Refuse

WAYS = ("invoke", "ainvoke", "stream", "astream")
SILENCE_SECONDS = 3.0
READING_SECONDS = (0.05, 0.3, 1.0)
"""How long a client has to read what was sent before the connection goes: longer each time."""

REFUSALS: list[tuple[Refuse, str]] = [
    (Refuse(400, "messages: field required"), "ModelInvalidRequestError"),
    (
        Refuse(
            400,
            body=b'{"error": {"message": "This model\'s maximum context length is 8 tokens. '
            b'However, your messages resulted in 9 tokens.", "type": "invalid_request_error", '
            b'"param": "messages", "code": "context_length_exceeded"}}',
        ),
        "ContextOverflowError",
    ),
    (Refuse(401, "wrong key"), "ModelAuthenticationError"),
    (Refuse(403, "not allowed"), "ModelPermissionDeniedError"),
    (Refuse(404, "no such model"), "ModelNotFoundError"),
    (Refuse(422, "unprocessable"), "ModelInvalidRequestError"),
    (Refuse(429, "too many requests"), "ModelRateLimitError"),
    (Refuse(500, "it broke"), "ModelAPIError"),
    (Refuse(503, "overloaded"), "ModelAPIError"),
]
"""What servers answer, and what LangChain calls it."""
FAILURES: list[tuple[Raise, str]] = [
    (Raise(TimeoutError("late")), "ModelTimeoutError"),
    (Raise(ConnectionResetError("gone")), "ModelConnectionError"),
]
"""What sources raise that are no servers."""


@rule(
    "E1",
    "Failures are LangChain's `ModelError`s",
    fix="Raise the subclass of `langchain_core.exceptions.ModelError` that fits the status, "
    "`from` the client's own error.",
    scripted=True,
    seconds=30,
)
def failures_have_names(trial: Trial) -> None:
    """Retries, fallbacks and user interfaces have to tell a wrong key from a busy server.

    400, a prompt that is too long (as OpenAI tells it), 401, 403, 404, 422, 429, 500, 503 and a
    lost connection are tried, and an answer of OpenAI's Responses whose status is `failed`. No
    error fails, and so does a bare `Exception`, `RuntimeError` or `ValueError` from which, and from
    whose cause, neither the status nor what the server said can be learnt. A bare one that tells,
    a class of the client's, or a `ModelError` that is not the one that fits, is a warning. So is
    what else comes of an answer that is no answer, of a server that is silent beyond `timeout`, and
    of an address where nobody listens.
    """
    cases = [*REFUSALS, (Cut(reset=True), "ModelConnectionError")] if trial.over_http else FAILURES
    near = _raw(trial) if trial.over_http else []
    for failure, name in cases:
        expected = getattr(exceptions, name)
        for way in WAYS if trial.has("streaming") else WAYS[:2]:
            error = trial.call(way, script=[failure]).error
            got = f"{way}, {failure}: {type(error).__name__}: {error}"
            expect(error is not None, f"{way}, {failure}: no error", name)
            told = any(_tells(each, failure) for each in _causes(error))
            expect(told, got, f"{name}, or an error that tells what happened")
            if not isinstance(error, expected):
                near.append(got)
    for way in WAYS[:2] if wire(trial) == "responses" else ():
        call = trial.call(way, "Hi", model=trial.model(_telling))
        got = f"{way}: an answer of the status 'failed' became {said(call)}"
        expect(call.error is not None, got, "an error")
    if near:
        warn(near[0], "the subclass that fits")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _tells(error: BaseException, failure: Any) -> bool:
    """Tell whether an exception says what has failed: by its class, or in words."""
    words = (str(failure.status), failure.message) if isinstance(failure, Refuse) else ()
    return not is_bare(error) or any(each in str(error) for each in words)


def _raw(trial: Trial) -> list[str]:
    """Return what becomes of answers that are none, of silence, and of an address of nobody."""
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        (f"an answer of {body!r}", [Refuse(200, body=body)], {})
        for body in (b"<html>", b'{"error": {"message": "overloaded"}}')
    ]
    cases.append(("an address of nobody", ["fine"], {"base_url": "http://127.0.0.1:9/v1"}))
    if trial.takes("timeout"):
        cases.append(("silence", [Pause(SILENCE_SECONDS), "fine"], {"timeout": 1}))
    raw = []
    for what, script, fields in cases:
        for way in ("invoke",) if what == "silence" else ("invoke", "ainvoke"):
            call = trial.call(way, script=script, fields=fields)
            if call.error is None:
                raw.append(f"{way}: {what} became no error")
            elif not isinstance(call.error, exceptions.ModelError):
                raw.append(f"{way}: {what} became a {type(call.error).__name__}")
    return raw


@rule(
    "E2",
    "An error in the middle of a stream is raised, and its callback gets the text so far",
    fix="Let the error out of `_stream`, after the chunks that came before it; core hands them to "
    "`on_llm_error`. Don't take the end of the connection for the end of the answer.",
    scripted=True,
    needs=["streaming"],
)
def errors_in_the_middle(trial: Trial) -> None:
    """Half an answer that looks whole is the worst of all.

    The connection breaks after some text. The error must come out, of `invoke` too, and of streams
    `on_llm_error` must get what was there, in `response`. An error that the stream itself tells, as
    OpenAI's, Anthropic's and Ollama's wires have it, must come out as well. An answer that ends
    properly, but with no mark of its end, should not pass for whole: that is a warning, as there
    are such servers.
    """
    breaks: Any = Cut(reset=True) if trial.over_http else Raise(ConnectionResetError("gone"))
    for way in streaming(trial):
        for pause in READING_SECONDS:
            call = trial.call(way, script=["half ", "an ", Pause(pause), breaks])
            expect(call.error is not None, f"{way}: no error, and {call.parts!r:.300}", "an error")
            errors = call.recorder.of("on_llm_error")
            expect(len(errors) == 1, f"{way}: on_llm_error came {len(errors)} times", "once")
            response = errors[0][1].get("response")
            generations = getattr(response, "generations", None) or [[]]
            text = generations[0][0].text if generations[0] else ""
            if text == "half an ":
                break
        expect(text == "half an ", f"{way}: on_llm_error got {text!r}", "'half an '")
    for way in ("invoke", "ainvoke"):
        call = trial.call(way, script=["half ", "an ", Pause(0.05), breaks])
        expect(call.error is not None, f"{way}: no error, and {call.parts!r:.300}", "an error")
    if trial.over_http:
        _expect_marks(trial)


def _expect_marks(trial: Trial) -> None:
    """Fail where an error that a stream tells is passed over; warn where its end needs no mark."""
    for way in streaming(trial):
        call = trial.call(way, "Hi", model=trial.model(_telling))
        if wire(trial, call) in {"openai", "responses", "anthropic", "ollama"}:
            got = f"{way}: an error that the stream tells is passed over: {call.parts!r:.300}"
            expect(call.error is not None, got, "an error")
        call = trial.call(way, script=["half ", "an ", Cut(politely=True)])
        if call.error is None:
            warn(
                f"{way}: {call.message.text!r} passes for whole: nothing marked its end", "an error"
            )


def _telling(received: Received) -> Iterator[Any]:
    """Answer half, and tell an error as the wire has it; whole, as Responses alone can."""
    if not (received.asked and received.wire and received.wire.server):
        return
    writer = received.wire.server.writer(received.asked)
    if not received.asked.stream and received.wire.name == "responses":
        error = {"code": "server_error", "message": "overloaded"}
        body = {**writer.whole(), "status": "failed", "error": error}
        yield Refuse(200, body=json.dumps(body).encode())
        return
    writer.begin()  # it has gone out
    yield from ("half ", "an ")
    yield from (Bytes(b"".join(writer.fail(500, "overloaded"))), Cut(politely=True))


@rule(
    "E3",
    "What can fail before the first chunk fails before it",
    fix="Send the request before the first `yield`, and yield nothing until it is accepted: "
    "fallbacks are only tried before the first chunk.",
    scripted=True,
    needs=["streaming"],
)
def failing_early(trial: Trial) -> None:
    """`with_fallbacks` can't take back a chunk that is out.

    The first backend refuses, or raises; the fallback's text must be all that comes.
    """
    refusal: Any = Refuse(429, "busy") if trial.over_http else Raise(ConnectionError("busy"))
    for way in streaming(trial):
        failing, spare = trial.model([refusal]), trial.model(["spare", Usage(1, 1)])
        alone = trial.call(way, "Hi", model=failing)
        expect(alone.error is not None, f"{way}: the refusal became no error", "an error")
        expect(not alone.parts, f"{way}: {len(alone.parts)} chunks came before the error", "none")
        call = trial.call(way, "Hi", model=failing.with_fallbacks([spare]))
        expect(call.error is None, f"{way}: {call.error!r}", "the fallback's answer")
        expect(call.message.text == "spare", f"{way}: {call.message.text!r}", "'spare'")
