"""OpenTelemetry: a span and metrics for each call of a model, by the GenAI conventions.

It is the call itself that is watched, and no callback: calls that nobody listens to stay as fast,
and a span covers what a source does, whichever way it was asked. Where no SDK is set up, nothing is
watched; where an instrumentation listens to the call by LangChain's callbacks, neither, for it
makes the same spans. OpenTelemetry is never imported before the application has done so.
"""

import contextlib
import contextvars
import functools
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from chatwright.core.bridge import Scope
from chatwright.core.piece import Piece
from chatwright.langchain.call import Asked, Call
from chatwright.langchain.conventions import (
    CAPTURE,
    SECONDS,
    TOKENS,
    VERSION,
    ends,
    is_captured,
    labels,
    requested,
    said,
    spent,
)
from chatwright.langchain.render import MessageRenderer, Renderer, Summary
from chatwright.langchain.request import Request
from chatwright.langchain.run import Run

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

__all__ = ["SUPPRESSED", "Instruments", "instruments", "watched"]

T = TypeVar("T")
log = logging.getLogger("chatwright.telemetry")

SCOPE = "chatwright"
"""The name of the instrumentation scope."""
SUPPRESSED = "suppress_instrumentation"
"""The key of OpenTelemetry's context by which its `suppress_instrumentation` switches it off."""
_WATCH = "chatwright.watch"
_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_APIS = ("opentelemetry.trace", "opentelemetry.metrics")
_INSTRUMENTATIONS = ("langchain_azure_ai", "langfuse", "openinference", "traceloop")
"""Packages whose callback handlers make spans of OpenTelemetry's."""


class Instruments:
    """What spans and metrics are made by.

    Args:
        tracers: The application's tracer provider.
        meters: Its meter provider.
    """

    def __init__(self, tracers: Any, meters: Any) -> None:
        """Make them."""
        own: Any = {"schema_url": f"https://opentelemetry.io/schemas/{VERSION}"}
        self.tracer = tracers.get_tracer(SCOPE, version("chatwright"), **own)
        meter = meters.get_meter(SCOPE, version("chatwright"), **own)
        self.records = not (_is_apis(self.tracer) and _is_apis(meter))

        def histogram(name: str, unit: str, told: str, bounds: Sequence[float]) -> Any:
            return meter.create_histogram(
                name, unit, told, explicit_bucket_boundaries_advisory=bounds
            )

        self.duration = histogram(
            "gen_ai.client.operation.duration", "s", "GenAI operation duration.", SECONDS
        )
        self.tokens = histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            TOKENS,
        )
        self.first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time from the request to the first chunk of a stream.",
            SECONDS,
        )
        self.per_chunk = histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            "s",
            "Time from one chunk of a stream to the next.",
            SECONDS,
        )
        self.served = histogram(
            "gen_ai.server.request.duration", "s", "Time to the last byte of an answer.", SECONDS
        )
        self.first_token = histogram(
            "gen_ai.server.time_to_first_token",
            "s",
            "Time to the first token of a successful answer.",
            _FIRST_TOKEN_SECONDS,
        )
        self.per_token = histogram(
            "gen_ai.server.time_per_output_token",
            "s",
            "Time per token after the first one of a successful answer.",
            _TOKEN_SECONDS,
        )


_made: tuple[Any, Any, Instruments | None] | None = None


def instruments() -> Instruments | None:
    """Return what spans and metrics are made by; None where they would go nowhere."""
    global _made  # noqa: PLW0603  made anew for each pair of providers
    spans, figures = map(sys.modules.get, _APIS)  # an import would take longer than all else
    is_without_spans = spans is None or _is_apis(spans.get_tracer_provider())
    if is_without_spans and (figures is None or _is_apis(figures.get_meter_provider())):
        return None
    from opentelemetry import context, metrics, trace  # noqa: PLC0415  it is there

    tracers, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
    if _made is None or _made[0] is not tracers or _made[1] is not meters:
        _made = tracers, meters, _instruments_of(tracers, meters)
    return None if context.get_value(SUPPRESSED) else _made[2]


def _instruments_of(tracers: Any, meters: Any) -> Instruments | None:
    try:
        made = Instruments(tracers, meters)
    except TypeError:
        log.warning("opentelemetry-api is older than 1.30: it is told of no calls")
        return None
    return made if made.records else None


def _is_apis(made: Any) -> bool:
    """Tell whether a provider, or what it makes, is the API's own, which does nothing."""
    return type(made).__module__.startswith(_APIS)


@functools.cache
def _instruments_calls(handler: Any) -> bool:
    names = [each.__module__ for each in handler.__mro__]
    return any(
        name.startswith("opentelemetry.instrumentation.")
        or name.partition(".")[0] in _INSTRUMENTATIONS
        for name in names
    )


def _is_instrumented(handlers: Iterable[Any]) -> bool:
    """Tell whether one of a call's handlers makes spans of it."""
    for told in handlers:
        each = getattr(told, "_handler", told)  # what hears of a run inside of another one
        kind: Any = type(each)
        if _instruments_calls(kind):
            return True
        if getattr(getattr(each, "client", None), "otel_exporter", None):  # LangSmith's own
            return True
    return False


def watched(
    model: Asked, request: Request, renderer: Renderer[T], run: Run, scope: Scope
) -> Call[T]:
    """Return a call, which is watched where anybody wants spans or metrics.

    Args:
        model: The model, with the call's values in its fields.
        request: What is asked.
        renderer: Makes what the caller gets.
        run: Its run.
        scope: The context variables that the source runs with.
    """
    made = instruments()
    if made is None or _is_instrumented(run.heard):
        return Call(model, request, renderer, run, scope)
    return _WatchedCall(_Watch(made, model, request, renderer), run, scope)


class _WatchedCall(Call[T]):
    """A call that is watched."""

    def __init__(self, watch: "_Watch[T]", run: Run, scope: Scope) -> None:
        self._watch = watch
        super().__init__(watch.model, watch.request, watch, run, scope)

    def drive(self) -> Iterator[T]:
        with self._watch as watch:
            self._scope = [*self._scope, *watch.scope()]
            with contextlib.closing(super().drive()) as told:  # type: ignore[type-var]
                yield from told

    async def adrive(self) -> AsyncIterator[T]:
        with self._watch as watch:
            self._scope = [*self._scope, *watch.scope()]
            async with contextlib.aclosing(super().adrive()) as told:  # type: ignore[type-var]
                async for each in told:
                    yield each


class _Watch(Generic[T]):
    """Looks at one call from its first step to its last; a renderer in place of the call's own.

    The tokens of runs inside are counted by their own watches: this one counts what remains.
    """

    span: "Span"

    def __init__(
        self, made: Instruments, model: Any, request: Request, renderer: Renderer[T]
    ) -> None:
        self._made = made
        self.model = model
        self.request = request
        self._renderer = renderer
        self._streams = not isinstance(renderer, MessageRenderer)
        self._shadow = MessageRenderer(v1=True) if is_captured(os.getenv(CAPTURE, "")) else None
        self._answer: Any = None
        self._is_over = False
        self._last = 0.0
        self._inside: list[tuple[int, int]] = []

    def __enter__(self) -> "_Watch[T]":
        from opentelemetry import context, trace  # noqa: PLC0415  it is there

        self._labels = labels(self.model)
        outer = context.get_value(_WATCH)
        self._outer = outer if isinstance(outer, _Watch) else None
        name = f"chat {self._labels['gen_ai.request.model']}"
        kind = trace.SpanKind.CLIENT
        self._start = time.perf_counter()
        self.span = self._made.tracer.start_span(name, kind=kind, attributes=self._labels)
        if self.span.is_recording():
            told = requested(self.model, self.request, streams=self._streams)
            self.span.set_attributes(dict(told))
        within = trace.set_span_in_context(self.span)
        self._context = context.set_value(_WATCH, self, within)
        return self

    def scope(self) -> Scope:
        """Return the variable by which what the source calls becomes a child of the span."""
        return _variables(self._context)

    # The renderer.

    def piece(self, piece: Piece) -> Sequence[T]:
        """Render a piece, and keep the time."""
        if self._streams:
            self._chunk()
        if self._shadow:
            self._shadow.piece(piece)
        return self._renderer.piece(piece)

    def again(self) -> None:
        """Hand it on."""
        if self._shadow:
            self._shadow.again()
        self._renderer.again()

    def last(self, summary: Summary) -> Sequence[T]:
        """Render the end; with that the call is over: not every reader asks for more after it."""
        if self._shadow:
            (self._answer,) = self._shadow.last(summary)
        rendered = self._renderer.last(summary)
        self._end(summary=summary)
        return rendered

    def _chunk(self) -> None:
        now = time.perf_counter()
        if self._last:
            self._made.per_chunk.record(now - self._last, self._labels, self._context)
        else:
            first = now - self._start
            self._made.first_chunk.record(first, self._labels, self._context)
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", first)
        self._last = now

    # The end.

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        # Who stops reading has all he wants.
        self._end(error=None if isinstance(error, GeneratorExit) else error)

    def _end(self, *, summary: Summary | None = None, error: BaseException | None = None) -> None:
        """End the span, once."""
        if self._is_over:
            return
        self._is_over = True
        seconds = time.perf_counter() - self._start
        told = dict(self._labels)
        if summary is not None:
            self._ended(summary, told)
        if error is not None:
            told["error.type"] = type(error).__qualname__
            self._failed(type(error).__qualname__, str(error))
        self._made.duration.record(seconds, told, self._context)
        if self._shadow and self.span.is_recording():
            self._say()
        self.span.end()

    def _ended(self, summary: Summary, told: dict[str, Any]) -> None:
        """Record what is known of an answer, and add its model to what metrics are told."""
        ended = dict(ends(summary.response_metadata))
        if name := ended.get("gen_ai.response.model"):
            told["gen_ai.response.model"] = name
        if usage := summary.usage:
            ended |= dict(spent(usage))
            self._count(usage["input_tokens"], usage["output_tokens"], told)
        self.span.set_attributes(ended)

    def _count(self, *of: Any) -> None:
        """Count tokens, less those that were counted inside; outside, these are counted too."""
        inputs, outputs, told = of
        if self._outer:
            self._outer._inside.append((inputs, outputs))  # noqa: SLF001  another watch's
        for kind, total, counted in (
            ("input", inputs, sum(each for each, _ in self._inside)),
            ("output", outputs, sum(each for _, each in self._inside)),
        ):
            if total > counted or not self._inside:
                by = {**told, "gen_ai.token.type": kind}
                self._made.tokens.record(total - counted, by, self._context)

    def _say(self) -> None:
        """Record the content; what can't be told spoils no call."""
        try:
            told = said(self.request.messages, self.request.tools, self._answer)
            self.span.set_attributes(dict(told))
        except Exception:
            log.exception("the content of a call is not in its span")

    def _failed(self, name: str, message: str) -> None:
        """Say so; what an error says may quote the conversation, and counts as content."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  it is there

        self.span.set_attribute("error.type", name)
        self.span.set_status(Status(StatusCode.ERROR, message if self._shadow else None))


def _variables(within: "Context") -> Scope:
    """Return the context variable that holds OpenTelemetry's context, and this one as its value."""
    from opentelemetry import context  # noqa: PLC0415  it is there

    token: Any = context.attach(within)
    context.detach(token)
    # With a context of another make (OTEL_PYTHON_CONTEXT), what the source calls is no child.
    return [(token.var, within)] if isinstance(token, contextvars.Token) else []
