"""What stands before every request: hosts, origins, content types, keys, and security headers."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.run.serve.failures import Failure, HttpError
from chatwright.run.serve.keys import Client, Keys

__all__ = ["CLIENT", "OPEN", "SEND", "Guard"]

CLIENT = "chatwright.client"
"""Where a request's scope has its `Client`."""
SEND = "chatwright.send"
"""Where HTTP's has ASGI's `send` for what follows a response's start, which nothing changes."""
OPEN = frozenset({"/", "/healthz", "/readyz"})
"""Paths that need no key; nor do the page's own files."""
_PAGE = "/page/"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets only requests through that may be answered.

    A page of another origin is refused unless it is named, whatever its request looks like; so is
    a name for this machine that is not its own, as DNS rebinding uses (any is right where keys are
    asked for).

    Args:
        app: What stands behind it.
        origins: Origins that may ask; `*` for any.
        keys: Who may ask; None for anybody.
        hosts: Names beside those of loopback by which the server may be called; None for any.
        server_of: Returns the server's end of the wire of a path, for errors; None for none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Sequence[str],
        keys: Keys | None,
        hosts: Collection[str] | None,
        server_of: Any,
    ) -> None:
        """Keep all of it."""
        self._app = app
        self._origins = frozenset(origins)
        self._keys = keys
        self._hosts = None if hosts is None else _LOOPBACK | {*hosts}
        self._server_of = server_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and hand it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            client = self._checked(scope, headers)
        except HttpError as error:
            await self._refused(scope, receive, send, error)
            return
        scope[CLIENT] = client
        if scope["type"] == "http":
            scope[SEND] = send

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    told.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)

    def _checked(self, scope: Scope, headers: Headers) -> Client | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self._hosts is not None and self._keys is None and name not in self._hosts:
            raise HttpError(403, f"this server is not called {name!r}")
        origin = headers.get("origin")
        if origin is not None and not self._takes(origin, host):
            raise HttpError(403, f"pages of {origin} may not ask; --cors {origin} lets them")
        if scope["type"] == "http" and scope["method"] in {"POST", "PUT", "PATCH"}:
            self._check_type(scope, headers)
        path = scope["path"]
        is_open = path in OPEN or path.startswith(_PAGE) or scope.get("method") == "OPTIONS"
        if self._keys is None or is_open:
            return None
        client = self._keys.client(_key(headers))
        if client is None:
            raise HttpError(401, "a key of this server is needed: Authorization: Bearer KEY")
        return client

    def _takes(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        own = parts.scheme in {"http", "https"} and parts.netloc == host
        return own or origin in self._origins or "*" in self._origins

    @staticmethod
    def _check_type(scope: Scope, headers: Headers) -> None:
        """Refuse what a page of another origin may send without asking first."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json"):
            return
        # As Ollama's documentation calls curl; a browser tells itself by one of these.
        is_page = "origin" in headers or "sec-fetch-site" in headers
        by_curl = kind in {"", "application/x-www-form-urlencoded"} and not is_page
        if not (by_curl and scope["path"].startswith("/api/")):
            raise HttpError(415, f"the Content-Type has to be application/json, not {kind!r}")

    async def _refused(self, scope: Scope, receive: Receive, send: Send, error: HttpError) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": str(error)})
            return
        failure = Failure(error.status, str(error), error.retry_after)
        body = failure.body(self._server_of(scope["path"]))
        told = {"Content-Type": "application/json", **failure.headers(), **_HEADERS}
        if error.status == 401:  # noqa: PLR2004  HTTP's
            told["WWW-Authenticate"] = "Bearer"
        told["Content-Length"] = str(len(body))
        raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in told.items()]
        await send({"type": "http.response.start", "status": error.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return headers.get("x-api-key", "")
