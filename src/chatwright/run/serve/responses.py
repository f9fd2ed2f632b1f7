"""OpenAI's Responses, and Open Responses: making them, keeping them, compacting conversations."""

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from chatwright.run.serve.apis import Api
from chatwright.run.serve.exchange import body_of
from chatwright.run.serve.failures import HttpError, identified
from chatwright.run.serve.guard import CLIENT
from chatwright.run.serve.kept import Kept, KeptResponses, Owner
from chatwright.run.serve.sockets import Socket
from chatwright.wires import WIRES
from chatwright.wires.asked import Asked
from chatwright.wires.responses import compact
from chatwright.wires.responses.request import Compact, Responses, items_of
from chatwright.wires.responses.server import Writer
from chatwright.wires.wire import Server

if TYPE_CHECKING:
    from chatwright.run.serve.app import App

__all__ = ["RESPONSES_PATHS", "described", "responses"]

RESPONSES_PATHS = ("/v1/responses", "/responses")
_PAGE = 20
_LONGEST_PAGE = 100


def _api(body: Any) -> Api:
    wire = WIRES["responses"]
    assert isinstance(wire.server, Server)  # noqa: S101  ours has both ends
    return Api(paths=RESPONSES_PATHS, body=body, server=wire.server, media_type=wire.media_type)


_RESPONSES, _COMPACT = _api(Responses), _api(Compact)


def responses(shared: "App") -> list[BaseRoute]:
    """Return the routes.

    Args:
        shared: The server.
    """
    made = _Made(shared)
    return [
        each
        for path in RESPONSES_PATHS
        for each in (
            Route(path, made.answer(made.create), methods=["POST"]),
            WebSocketRoute(path, made.socket),
            Route(f"{path}/compact", made.answer(made.compact), methods=["POST"]),
            Route(f"{path}/{{id}}", made.answer(made.show), methods=["GET"]),
            Route(f"{path}/{{id}}", made.answer(made.delete), methods=["DELETE"]),
            Route(f"{path}/{{id}}/input_items", made.answer(made.input_items), methods=["GET"]),
        )
    ]


def described(path: str) -> Iterator[tuple[str, str, Any, Any, Mapping[str, Any]]]:
    """Yield what the routes below a path are.

    Args:
        path: One of `RESPONSES_PATHS`.

    Yields:
        The path, the method, the body, a sample of the answer (None for a response), and the
        schemas of the query's parameters.
    """
    whole = {"type": "string", "const": "false"}
    limit = {"type": "integer", "minimum": 1, "maximum": _LONGEST_PAGE, "default": _PAGE}
    order = {"type": "string", "enum": ["asc", "desc"], "default": "desc"}
    paging = {"limit": limit, "order": order, "after": {"type": "string"}}
    gone = {"id": "resp_0", "object": "response", "deleted": True}
    ends = {"first_id": None, "last_id": None}
    page = {"object": "list", "data": [{"type": "message", "id": "msg_0"}], "has_more": False}
    summary = compact.Writer(Asked(model="m", messages=()))
    summary.add("…")
    yield path, "post", Responses, None, {}
    yield f"{path}/compact", "post", Compact, summary.whole(), {}
    yield f"{path}/{{id}}", "get", None, None, {"stream": whole}
    yield f"{path}/{{id}}", "delete", None, gone, {}
    yield f"{path}/{{id}}/input_items", "get", None, {**page, **ends}, paging


class _Keeping(Writer):
    """Writes an answer, and hands it over once it is whole: before its last event goes out.

    Args:
        asked: What was asked.
        keep: Takes the response.
    """

    def __init__(self, asked: Asked, keep: Callable[[Mapping[str, Any]], None]) -> None:
        """Start with nothing."""
        super().__init__(asked)
        self._keep = keep

    def _tail(self) -> Iterator[Any]:
        for each in super()._tail():
            if "response" in each:
                self._keep(each["response"])
            yield each


class _Made:
    """The responses of a server.

    Args:
        shared: The server.
    """

    def __init__(self, shared: "App") -> None:
        """Begin with none."""
        self._shared = shared
        self._kept = KeptResponses(shared.limits)

    def answer(self, make: Callable[[Request], Awaitable[Response]]) -> Any:
        """Return an endpoint, whose errors become answers."""

        async def endpoint(request: Request) -> Response:
            try:
                return await make(request)
            except Exception as error:  # noqa: BLE001  each becomes an answer
                return self._shared.refusing(_RESPONSES, error, {})

        return endpoint

    async def create(self, request: Request) -> Response:
        """Make a response."""
        body = await body_of(request, self._shared.limits)
        return self._answering(body, request, Owner(_client(request)))

    def _answering(
        self,
        body: Any,
        request: HTTPConnection,
        owner: Owner,
        done: Callable[[], None] = lambda: None,
    ) -> Response:
        """Return what answers a request.

        Args:
            body: What was sent.
            request: How.
            owner: Whose it is; what is not to be stored is kept for its WebSocket alone.
            done: Is called once the response is whole.
        """
        read = Responses.read(body)
        before = self._before(read, owner)
        prompt = read.prompt(before)
        number = uuid.uuid4().hex
        asked = replace(_RESPONSES.asked(body), number=number)
        items = _with_ids(items_of(read.input), number)

        def keep(response: Mapping[str, Any]) -> None:
            if read.store is not False:
                self._kept.keep(Owner(owner.client), response, items)
            elif owner.socket is not None:
                self._kept.keep(owner, response, items)
            done()

        headers = identified(number)
        return self._shared.answering(
            _RESPONSES, read, prompt, _Keeping(asked, keep), scope=request.scope, headers=headers
        )

    def _before(self, read: Any, owner: Owner) -> list[Mapping[str, Any]]:
        name = read.previous_response_id
        return [] if name is None else self._kept.conversation(name, owner)

    async def compact(self, request: Request) -> Response:
        """Compact a conversation."""
        body = await body_of(request, self._shared.limits)
        read = Compact.read(body)
        prompt = read.prompt(self._before(read, Owner(_client(request))))
        asked = Asked(model=read.model, messages=(), number=uuid.uuid4().hex)
        headers = identified(asked.number)
        return self._shared.answering(
            _COMPACT, read, prompt, compact.Writer(asked), scope=request.scope, headers=headers
        )

    async def socket(self, socket: Any) -> None:
        """Answer the requests of a WebSocket, one after the other."""
        number = uuid.uuid4().hex
        owner = Owner(_client(socket), number)

        def answering(body: Any, done: Callable[[], None]) -> Response:
            self._check_key(socket)
            return self._answering(body, socket, owner, done)

        def refusing(error: Exception) -> Response:
            return self._shared.refusing(_RESPONSES, error, {})

        def failed(body: Any) -> None:
            name = body.get("previous_response_id") if isinstance(body, dict) else None
            kept = self._kept.find(name, owner) if isinstance(name, str) else None
            if kept is not None and kept.owner.socket is not None:
                self._kept.drop(kept.response["id"])

        try:
            await Socket(socket, self._shared.limits, answering, refusing, failed).run()
        finally:
            self._kept.leave(number)

    def _check_key(self, socket: HTTPConnection) -> None:
        """Refuse a request of an open WebSocket whose key is no longer one of the server's."""
        client, keys = socket.scope.get(CLIENT), self._shared.keys
        if keys is not None and (client is None or keys.clients.get(client.name) is not client):
            raise HttpError(401, "the key of this WebSocket is no longer one of this server's")

    def _found(self, request: Request) -> Kept:
        name = request.path_params["id"]
        kept = self._kept.find(name, Owner(_client(request)))
        if kept is None:
            raise HttpError(404, f"Response with id {name!r} not found: it is not kept here")
        return kept

    async def show(self, request: Request) -> Response:
        """Return a response that is kept."""
        kept = self._found(request)
        if request.query_params.get("stream", "false") != "false":
            raise HttpError(400, "stream: a response that is kept comes whole; leave it out")
        return JSONResponse(kept.response)

    async def delete(self, request: Request) -> Response:
        """Let go of a response."""
        name = self._found(request).response["id"]
        self._kept.drop(name)
        return JSONResponse({"id": name, "object": "response", "deleted": True})

    async def input_items(self, request: Request) -> Response:
        """Return a page of what a response's request said, the last item first unless told."""
        items = [*self._found(request).items]
        query = request.query_params
        limit = query.get("limit", str(_PAGE))
        if not (limit.isdecimal() and 1 <= int(limit) <= _LONGEST_PAGE):
            raise HttpError(400, f"limit: it is between 1 and {_LONGEST_PAGE}")
        if query.get("order", "desc") not in {"asc", "desc"}:
            raise HttpError(400, "order: it is asc or desc")
        if query.get("order", "desc") == "desc":
            items.reverse()
        if (after := query.get("after")) is not None:
            names = [each["id"] for each in items]
            if after not in names:
                raise HttpError(400, f"after: there is no item {after!r}")
            items = items[names.index(after) + 1 :]
        page = items[: int(limit)]
        ends = {
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }
        more = len(page) < len(items)
        return JSONResponse({"object": "list", "data": page, "has_more": more, **ends})


def _client(request: HTTPConnection) -> str | None:
    client = request.scope.get(CLIENT)
    return None if client is None else client.name


_PREFIXES = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def _with_ids(items: list[dict[str, Any]], number: str) -> list[dict[str, Any]]:
    """Return a request's items as they are listed: each by its kind, and with an id."""
    made = []
    for n, each in enumerate(items):
        kind = each.get("type") or "message"
        prefix = _PREFIXES.get(kind, "msg" if kind == "message" else "item")
        told = {"type": kind, **each, "id": each.get("id") or f"{prefix}_{number}_in{n}"}
        if kind == "message" and isinstance(each.get("content"), str):
            part = "output_text" if each.get("role") == "assistant" else "input_text"
            more: dict[str, Any] = {"annotations": []} if part == "output_text" else {}
            told["content"] = [{"type": part, "text": each["content"], **more}]
        if kind != "reasoning":
            told.setdefault("status", "completed")
        made.append(told)
    return made
