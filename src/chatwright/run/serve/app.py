"""The server: an ASGI app of chat models by their names."""

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from chatwright.run.serve.admission import Admission
from chatwright.run.serve.apis import APIS, Api
from chatwright.run.serve.exchange import Exchange, body_of
from chatwright.run.serve.failures import REQUEST_ID, Failure, HttpError, failure_of, identified
from chatwright.run.serve.guard import CLIENT, Guard
from chatwright.run.serve.inspector import Check, inspector
from chatwright.run.serve.keys import Client, Keys
from chatwright.run.serve.limits import Limits
from chatwright.run.serve.listings import listings, wire_of
from chatwright.run.serve.metrics import Metrics, Timing
from chatwright.run.serve.openapi import references
from chatwright.run.serve.page import page
from chatwright.run.serve.responses import RESPONSES_PATHS, responses
from chatwright.run.serve.resume import Resuming
from chatwright.run.serve.served import Served
from chatwright.run.serve.tracing import Tracing
from chatwright.wires import WIRES
from chatwright.wires.prompt import Prompt
from chatwright.wires.wire import Server
from chatwright.wires.writer import Writer

__all__ = ["App", "app"]

SESSION = "x-session-id"
"""The header by which a client tells which requests belong together."""


@dataclass
class App:
    """What the routes share.

    Args:
        models: The models by their names; the first one answers where a request names none.
        limits: What the server allows.
        keys: Who may ask; None for anybody.
        page: Whether there is a page to chat, and what it asks.
        checks: What checks models, by their names.
    """

    models: Mapping[str, Served]
    limits: Limits = field(default_factory=Limits)
    keys: Keys | None = None
    page: bool = True
    checks: Mapping[str, Check] = field(default_factory=dict)
    started: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        """Make what is measured and counted."""
        self.metrics = Metrics()
        self.admission = Admission(self.limits.concurrency, self.limits.queue)
        self.metrics.running.set_function(lambda: self.admission.running)
        self.metrics.waiting.set_function(lambda: self.admission.waiting)

    def model(self, name: str) -> Served:
        """Return a model.

        Raises:
            HttpError: There is none of the name (404).
        """
        found = self.models.get(name) or self.models.get(name.removesuffix(":latest"))
        if found is None:
            known = ", ".join(self.models)
            raise HttpError(404, f"there is no model {name!r} here; there is {known}")
        return found

    def check(self, prompt: Prompt) -> None:
        """Refuse what is more than the server allows.

        Raises:
            HttpError: It is (400).
        """
        limits = self.limits
        if len(prompt.messages) > limits.messages:
            raise HttpError(400, f"messages: {limits.messages} are the limit")
        if len(prompt.tools) > limits.tools:
            raise HttpError(400, f"tools: {limits.tools} are the limit")
        if (prompt.parameters.get("max_tokens") or 0) > limits.tokens:
            raise HttpError(400, f"max_tokens: {limits.tokens} are the limit")

    def answering(
        self,
        api: Api,
        read: Any,
        prompt: Prompt,
        writer: Writer,
        *,
        scope: Scope,
        headers: Mapping[str, str],
    ) -> Response:
        """Return what answers a request once it is called.

        Args:
            api: What it was sent to.
            read: Its body.
            prompt: What it asks.
            writer: Writes the answer.
            scope: ASGI's, with the client.
            headers: Headers of the answer.

        Raises:
            HttpError: There is no such model, or more is asked than the server allows.
        """
        model = self.model(read.model)
        self.check(prompt)
        answer = model.answer(prompt, _session(read, scope))
        stream = api.streams_unless_told if read.stream is None else read.stream
        deltas = answer.stream if stream else answer.whole
        timing = Timing(self.metrics, api.operation, read.model)
        return self.exchange(
            api, deltas, writer, timing, scope=scope, headers=headers, stream=stream
        )

    def exchange(
        self,
        api: Api,
        deltas: Callable[[], AsyncGenerator[Any]],
        writer: Writer,
        timing: Timing,
        *,
        scope: Scope,
        headers: Mapping[str, str],
        stream: bool = True,
        admission: Admission | None = None,
    ) -> Response:
        """Return what is made while it is sent, and counts against its client's limits.

        Args:
            api: What the request was sent to.
            deltas: What the writer is fed.
            writer: Writes the answer.
            timing: Measures it.
            scope: ASGI's, with the client.
            headers: Headers of the answer.
            stream: Whether it goes out in pieces.
            admission: Lets it in. Default: what lets all answers in.
        """
        made = Exchange(
            deltas,
            writer,
            api.server,
            media_type=api.media_type,
            admission=admission or self.admission,
            limits=self.limits,
            timing=timing,
            stream=stream,
            headers=headers,
        )
        client: Client | None = scope.get(CLIENT)
        return made if client is None else _Counted(made, client, api.server)

    def refusing(self, api: Api, error: Exception, headers: Mapping[str, str]) -> Response:
        """Return the answer to a request that came to nothing."""
        failure = failure_of(error)
        self.metrics.requests.labels(api.operation, "", str(failure.status)).inc()
        return _failed(failure, api.server, headers)


def _session(read: Any, scope: Scope) -> str | None:
    """Return what a request's client says of the session that it belongs to."""
    told = Headers(scope=scope).get(SESSION) or getattr(read, "prompt_cache_key", None)
    return told if isinstance(told, str) else None


def _endpoint(shared: App, api: Api) -> Any:
    """Return what answers an API's requests."""

    async def answer(request: Request) -> Response:
        number = uuid.uuid4().hex
        told = identified(number)
        try:
            body = await body_of(request, shared.limits)
            read = api.body.read(body)
            prompt = read.prompt()
            writer = api.writer(replace(api.asked(body), number=number), prompt)
            return shared.answering(api, read, prompt, writer, scope=request.scope, headers=told)
        except Exception as error:  # noqa: BLE001  each becomes an answer
            return shared.refusing(api, error, told)

    return answer


class _Counted(Response):
    """An answer that counts against its client's limits."""

    def __init__(self, made: Exchange, client: Client, server: Server) -> None:
        self._made = made
        self._client = client
        self._server = server
        self.background = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            with self._client.admitted():
                await self._made(scope, receive, send)
        except HttpError as error:
            await _failed(failure_of(error), self._server, {})(scope, receive, send)


def _failed(failure: Failure, server: Server | None, headers: Mapping[str, str]) -> Response:
    told = {**headers, **failure.headers()}
    body = failure.body(server, told.get(REQUEST_ID))
    return Response(body, failure.status, told, "application/json")


def _routes(shared: App) -> list[BaseRoute]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        return JSONResponse({"status": "ok", "models": [*shared.models]})

    async def metrics(_: Request) -> Response:
        return Response(shared.metrics.shown(), media_type="text/plain; version=0.0.4")

    apis = [
        Route(path, _endpoint(shared, api), methods=["POST"]) for api in APIS for path in api.paths
    ]
    return [
        *([*page(), *inspector(shared)] if shared.page else []),
        *apis,
        *responses(shared),
        *listings(shared),
        *references(shared),
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/metrics", metrics),
    ]


def _server_of(path: str) -> Server | None:
    """Return the server's end of the wire that a path belongs to."""
    exact = next((each.server for each in APIS if path in each.paths), None)
    places = ("/api/", "/v1/", "/inspector/", "/models", *RESPONSES_PATHS)
    return WIRES[wire_of(path)].server if exact is None and path.startswith(places) else exact


def app(
    shared: App, *, origins: Sequence[str] = (), hosts: Collection[str] | None = ()
) -> Starlette:
    """Return the ASGI app.

    Args:
        shared: The models, limits and keys.
        origins: Origins whose pages may ask; `*` for any.
        hosts: Names beside those of loopback by which the server may be called; None for any.
    """

    async def unknown(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        what = "takes no" if status == 405 else "is unknown to this server; it was asked by"  # noqa: PLR2004
        failure = Failure(status, f"{request.url.path} {what} {request.method}")
        headers = getattr(error, "headers", None) or {}
        return _failed(failure, _server_of(request.url.path), headers)

    cors = Middleware(
        CORSMiddleware,
        allow_origins=[*origins],
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["content-location", "retry-after", "request-id", "x-request-id"],
    )
    guard = Middleware(Guard, origins=origins, keys=shared.keys, hosts=hosts, server_of=_server_of)
    resuming = [Middleware(Resuming, shared.limits)] if shared.limits.resume_seconds else []
    made = Starlette(
        routes=_routes(shared),
        middleware=[Middleware(Tracing), *([cors] if origins else []), guard, *resuming],
        exception_handlers={404: unknown, 405: unknown},
    )
    made.state.keys = shared.keys
    return made
