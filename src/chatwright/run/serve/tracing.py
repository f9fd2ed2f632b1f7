"""A span for each request to the server, by OpenTelemetry's HTTP conventions.

It takes up the trace of its client (W3C's `traceparent`), so that the model's span, which is made
while the request is answered, belongs to that trace. Where the application has such a span already,
from an instrumentation of ASGI, no other one is made.
"""

from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.langchain.telemetry import Instruments, instruments

__all__ = ["Tracing"]

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_UNTRACED = frozenset({"/healthz", "/metrics", "/readyz"})
"""What is asked for by the minute, and tells nothing."""
_FAILED = 500


class Tracing:
    """Opens a span around each request.

    A WebSocket has none, as it may last for hours: the models' spans join its client's trace.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Keep it."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, within a span where anybody wants one."""
        made = instruments() if scope["type"] in {"http", "websocket"} else None
        if made is None or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        from opentelemetry import context, propagate, trace  # noqa: PLC0415  it is there

        if trace.get_current_span().is_recording():
            await self._app(scope, receive, send)
            return
        parent = propagate.extract(Headers(scope=scope))
        if scope["type"] == "websocket":
            token = context.attach(parent)
            try:
                await self._app(scope, receive, send)
            finally:
                context.detach(token)
            return
        await self._answer(made, parent, scope, receive, send)

    async def _answer(
        self, made: Instruments, parent: Any, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer within a span."""
        from opentelemetry import context, trace  # noqa: PLC0415  it is there

        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        span = made.tracer.start_span(
            "HTTP" if method == "_OTHER" else method,
            parent,
            kind=trace.SpanKind.SERVER,
            attributes=dict(_requested(scope, method)),
        )

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                span.set_attribute("http.response.status_code", status)
                if status >= _FAILED:
                    _fail(span, str(status))
            await send(message)

        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await self._app(scope, receive, told)
        except BaseException as error:
            _fail(span, type(error).__qualname__)
            raise
        finally:
            context.detach(token)
            if route := _route(scope):
                span.set_attribute("http.route", route)
                span.update_name(f"{scope['method']} {route}")
            span.end()


def _requested(scope: Scope, method: str) -> Iterator[tuple[str, Any]]:
    """Yield what is known of a request beforehand; its query may hold a key, and is left out."""
    headers = Headers(scope=scope)
    yield "http.request.method", method
    if method == "_OTHER":
        yield "http.request.method_original", scope["method"]
    yield "url.path", scope["path"]
    yield "url.scheme", scope.get("scheme", "http")
    yield "network.protocol.version", scope.get("http_version", "1.1")
    if server := scope.get("server"):
        yield "server.address", str(server[0])
        if server[1]:
            yield "server.port", server[1]
    if client := scope.get("client"):
        yield "client.address", str(client[0])
    if agent := headers.get("user-agent"):
        yield "user_agent.original", agent


def _route(scope: Scope) -> str | None:
    """Return a path with its parameters by their names; None where no route was found."""
    if "endpoint" not in scope:
        return None
    routes = (each for each in scope["app"].routes if isinstance(each, Route))
    found = (each for each in routes if each.matches(scope)[0] is Match.FULL)
    return next((each.path_format for each in found), None)


def _fail(span: Any, kind: str) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  it is there

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
