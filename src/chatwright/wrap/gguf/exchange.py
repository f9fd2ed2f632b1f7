"""llama.cpp's events in, deltas out."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chatwright.core.bridge import Channel, Put
from chatwright.deltas import Finish, Reasoning, ToolCallDelta, Usage
from chatwright.errors import (
    EngineError,
    InvalidRequestError,
    PromptTooLongError,
    SourceTimeoutError,
)
from chatwright.wires.jsonio import dumps, loads

__all__ = ["Exchange", "as_exception"]


class Exchange:
    """One request's way through llama.cpp.

    Args:
        channel: Where the deltas go; its closing ends the request.
        put: Puts a delta into it.
        timeout: Seconds that the answer may take, queueing included; None for no limit.
        report: Whether usage and timings come with every piece instead of once at the end.
    """

    def __init__(
        self, channel: Channel[Any], put: Put, *, timeout: float | None, report: bool
    ) -> None:
        """Start the clock."""
        self._channel = channel
        self._put = put
        self._timeout = timeout
        self._report = report
        self._started = time.monotonic()
        self._deadline = None if timeout is None else self._started + timeout
        self._admitted: float | None = None
        self._first: float | None = None
        self._reason = "stop"
        self._silent = False
        self._alternatives = 0
        self._logprobs: list[dict[str, Any]] = []
        self._error: BaseException | None = None

    def run(self, complete: Callable[..., bool], body: Mapping[str, Any]) -> None:
        """Have `complete` answer, which is the engine's method of this name.

        Raises:
            PromptTooLongError: The prompt does not fit into the context.
            InvalidRequestError: llama.cpp refuses the request.
            EngineError: llama.cpp failed.
            SourceTimeoutError: The time ran out.
        """
        self._silent = body.get("max_tokens") == 0  # llama.cpp writes a token before it looks
        if body.get(
            "logprobs"
        ):  # without any alternative, llama.cpp tells none of the token either
            self._alternatives = body.get("top_logprobs") or 0
            body = {**body, "top_logprobs": max(1, self._alternatives)}
        admitted = complete(dumps(body), self._receive, self._channel, self._deadline)
        if self._error is not None:
            raise self._error
        if not admitted and not self._channel.closed:
            raise self._too_late("while it waited for a slot")

    def _receive(self, raw: bytes) -> bool:
        """Take one event; return True to stop. xllamacpp would swallow an exception."""
        try:
            return self._event(loads(raw))
        except BaseException as error:  # noqa: BLE001  raised again in `run`
            self._error = error
            return True

    def _event(self, event: Mapping[str, Any]) -> bool:
        if "error" in event:
            raise as_exception(event["error"])
        now = time.monotonic()
        if self._admitted is None:
            self._admitted = now
        if self._deadline is not None and now > self._deadline:
            raise self._too_late("in the middle of its answer")
        for choice in event.get("choices", ()):
            self._reason = choice.get("finish_reason") or self._reason
            pieces = [] if self._silent else [*_pieces(choice.get("delta", {}))]
            self._keep(choice.get("logprobs") or {})
            if pieces and self._first is None:
                self._first = now
            if pieces and self._report:
                self._tell(event)
            for piece in pieces:
                self._put(piece)
        if "usage" in event:
            self._tell(event)
        return self._channel.closed

    def _keep(self, logprobs: Mapping[str, Any]) -> None:
        """Keep the log probabilities of tokens, in the form that OpenAI has for them."""
        for each in logprobs.get("content") or ():
            likely = [_logprob(one) for one in each.get("top_logprobs") or ()]
            alternatives = likely[: self._alternatives]
            self._logprobs.append({**_logprob(each), "top_logprobs": alternatives})

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Say what the engine counted and measured so far."""
        timings = event.get("timings") or {}
        cached = timings.get("cache_n", 0)
        self._put(
            Usage(
                input_tokens=timings.get("prompt_n", 0) + cached,
                output_tokens=0 if self._silent else timings.get("predicted_n", 0),
                input_token_details={"cache_read": cached},
            )
        )
        first, admitted = self._first or time.monotonic(), self._admitted or self._started
        measured = {
            "first_token_ms": round(1000 * (first - self._started), 1),
            "queue_ms": round(1000 * (admitted - self._started), 1),
            "tokens_per_second": round(timings.get("predicted_per_second", 0.0), 1),
        }
        metadata: dict[str, Any] = {"timings": measured}
        if self._logprobs:
            metadata["logprobs"] = {"content": [*self._logprobs]}
        self._put(Finish(self._reason, metadata))

    def _too_late(self, when: str) -> SourceTimeoutError:
        return SourceTimeoutError(f"the request's {self._timeout} s ran out {when}")


def _pieces(delta: Mapping[str, Any]) -> Iterator[str | Reasoning | ToolCallDelta]:
    if reasoning := delta.get("reasoning_content"):
        yield Reasoning(reasoning)
    if text := delta.get("content"):
        yield text
    for call in delta.get("tool_calls") or ():
        function = call.get("function", {})
        yield ToolCallDelta(
            call.get("index", 0),
            call.get("id"),
            function.get("name"),
            function.get("arguments", ""),
        )


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    return {name: token.get(name) for name in ("token", "bytes", "logprob")}


def as_exception(error: Mapping[str, Any]) -> Exception:
    """Return llama.cpp's error dict as an exception."""
    kind, message = error.get("type"), error.get("message", "llama.cpp failed")
    if kind == "exceed_context_size_error":
        prompt, context = error["n_prompt_tokens"], error["n_ctx"]
        return PromptTooLongError(
            f"the prompt has {prompt} tokens, the context only {context}; shorten the prompt or "
            "raise n_ctx",
            prompt,
            context,
        )
    if kind == "invalid_request_error":
        return InvalidRequestError(f"llama.cpp refuses the request: {message}")
    return EngineError(f"llama.cpp failed: {message}")
