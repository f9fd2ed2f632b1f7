"""What a server measures, by the names of OpenTelemetry's GenAI conventions: in one place, for two.

Prometheus has all of it at `/metrics`; OpenTelemetry has the times, where the application has set
up its SDK. Tokens it has from the models' own calls (`langchain/telemetry.py`).

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from chatwright.langchain.telemetry import instruments

if TYPE_CHECKING:
    from chatwright.deltas import Usage

__all__ = ["Metrics", "Timing"]

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_GAPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_BY = ("gen_ai_operation_name", "gen_ai_request_model")


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.registry = CollectorRegistry()
        made: Any = {"registry": self.registry}
        self.requests = Counter(
            "chatwright_requests", "Requests by how they ended", [*_BY, "outcome"], **made
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request, in and out",
            [*_BY, "gen_ai_token_type"],
            buckets=_TOKENS,
            **made,
        )
        self.duration = Histogram(
            "gen_ai_server_request_duration_seconds", "Of a request", _BY, buckets=_SECONDS, **made
        )
        self.first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request to the first token",
            _BY,
            buckets=_SECONDS,
            **made,
        )
        self.gap = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Between tokens, on average over an answer",
            _BY,
            buckets=_GAPS,
            **made,
        )
        self.running = Gauge("chatwright_requests_running", "Answers being made", **made)
        self.waiting = Gauge("chatwright_requests_waiting", "Requests in the queue", **made)

    def shown(self) -> bytes:
        """Return all of it in Prometheus' text form."""
        return generate_latest(self.registry)


class Timing:
    """Measures one request.

    Args:
        metrics: Where it goes.
        operation: What was asked for: `chat` or `text_completion`.
        model: The model's name.
    """

    __slots__ = ("_by", "_ended", "_first", "_last", "_metrics", "_pieces", "_start", "usage")

    def __init__(self, metrics: Metrics, operation: str, model: str) -> None:
        """Begin."""
        self._metrics = metrics
        self._by = (operation, model)
        self._start = time.monotonic()
        self._first = self._last = 0.0
        self._pieces = 0
        self._ended = False
        self.usage: Usage | None = None

    def token(self) -> None:
        """Say that a piece has come."""
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._pieces += 1

    def end(self, outcome: str) -> None:
        """Say how it ended; what is said later does not count."""
        if self._ended:
            return
        self._ended = True
        metrics, by = self._metrics, self._by
        seconds, first, gap = self._seconds()
        metrics.requests.labels(*by, outcome).inc()
        metrics.duration.labels(*by).observe(seconds)
        if first is not None:
            metrics.first_token.labels(*by).observe(first)
        if gap is not None:
            metrics.gap.labels(*by).observe(gap)
        if self.usage:
            for kind, count in (
                ("input", self.usage.input_tokens),
                ("output", self.usage.output_tokens),
            ):
                if count is not None:
                    metrics.tokens.labels(*by, kind).observe(count)
        self._tell_opentelemetry(outcome, seconds, first, gap)

    def _seconds(self) -> tuple[float, float | None, float | None]:
        """Return how long it took: all of it, to the first token, and from token to token."""
        first = self._first - self._start if self._first else None
        several = self._pieces > 1
        gap = (self._last - self._first) / (self._pieces - 1) if several else None
        return time.monotonic() - self._start, first, gap

    def _tell_opentelemetry(
        self, outcome: str, seconds: float, first: float | None, gap: float | None
    ) -> None:
        if (made := instruments()) is None:
            return
        operation, model = self._by
        by: dict[str, str] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "chatwright",
            "gen_ai.request.model": model,
        }
        if outcome != "ok":
            made.served.record(seconds, {**by, "error.type": outcome})
            return
        made.served.record(seconds, by)
        if first is not None:
            made.first_token.record(first, by)
        if gap is not None:
            made.per_token.record(gap, by)
