"""Who asks: keys, and OAuth2 tokens, as httpx2 takes them."""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr

from chatwright.errors import AuthenticationError, OutputError
from chatwright.wires.jsonio import loads
from chatwright.wrap.endpoint.aside import given_by
from chatwright.wrap.endpoint.http import Auth, BasicAuth, HttpRequest, HttpResponse
from chatwright.wrap.failure import SHOWN_BYTES
from chatwright.wrap.masking import Mask

__all__ = ["KeyAuth", "OAuth2ClientCredentials", "secret"]

OK = 200
UNAUTHORIZED = 401
DEFAULT_LIFETIME = 3600.0
"""Seconds that a token is taken to last whose server does not say."""


def secret(value: Any) -> str:
    """Return what a `SecretStr` hides, or the str itself."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class KeyAuth(Auth):
    """Sets a key in a header. A callable key is asked again where the server refuses it (401).

    Args:
        key: The key; or a function, or a coroutine function, that returns it.
        header: The header.
        prefix: What stands before the key there.
    """

    def __init__(self, key: Any, header: str, prefix: str) -> None:
        """Keep what the key is made of."""
        self._key = key
        self._header = header
        self._prefix = prefix

    async def async_auth_flow(
        self, request: HttpRequest
    ) -> AsyncGenerator[HttpRequest, HttpResponse]:
        """Send the request, once or twice."""
        key = await self._get(None)
        request.headers[self._header] = self._prefix + key
        response = yield request
        if response.status_code == UNAUTHORIZED and callable(self._key):
            again = await self._get(key)
            if again != key:
                request.headers[self._header] = self._prefix + again
                yield request

    async def _get(self, refused: str | None) -> str:
        key = self._key
        if callable(key):
            key = await given_by(key, refused)
        found = secret(key or "").strip()
        if not (found and found.isascii() and found.isprintable()):
            raise AuthenticationError(
                "api_key is no key: it is empty, or holds what can't stand in a header"
            )
        return found


@dataclass(eq=False)
class OAuth2ClientCredentials(Auth):
    """OAuth2's client credentials (RFC 6749, section 4.4): a token is fetched, kept and renewed.

    However many calls wait for it, one request fetches it. It is renewed before it expires, and
    once where the server refuses it (401).

    Args:
        token_url: Where tokens are given out.
        client_id: Who asks.
        client_secret: The proof.
        scope: What the token is for; none by default.
        audience: Whom it is for; none by default. Some servers want it.
        early: Seconds before its end that a token is renewed. Default: 60.
        in_body: Whether id and secret go into the body; by default they go as basic auth.

    Raises:
        AuthenticationError: No token is to be had.
    """

    token_url: str
    client_id: str
    client_secret: SecretStr | str
    scope: str | None = None
    audience: str | None = None
    early: float = 60.0
    in_body: bool = False
    _token: str | None = field(default=None, init=False, repr=False)
    _renew: float = field(default=0.0, init=False, repr=False)
    _locks: Any = field(default_factory=weakref.WeakKeyDictionary, init=False, repr=False)

    __pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True)
    requires_response_body = False

    def __post_init__(self) -> None:
        """Hide the secret, where it came bare."""
        self.client_secret = SecretStr(secret(self.client_secret))

    async def async_auth_flow(
        self, request: HttpRequest
    ) -> AsyncGenerator[HttpRequest, HttpResponse]:
        """Send the request with a token; fetch one before, or another after, where need be."""
        refused: str | None = None
        for _ in range(2):
            lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
            async with lock:
                if self._token in (None, refused) or time.time() > self._renew:
                    asked = time.time()
                    response = yield self._asking()
                    await response.aread()
                    self._take(response, asked)
            refused = self._token
            request.headers["Authorization"] = f"Bearer {refused}"
            response = yield request
            if response.status_code != UNAUTHORIZED:
                return

    def _identified(self) -> dict[str, Any]:
        """Return what tells whose tokens these are, for cache keys: not the token of the hour."""
        asked = (self.token_url, self.client_id, self.client_secret, self.scope, self.audience)
        return {"asked": asked}

    def secrets(self) -> list[str]:
        """Return what must not be shown."""
        return [secret(self.client_secret), *([self._token] if self._token else [])]

    def _asking(self) -> HttpRequest:
        fields = {"grant_type": "client_credentials", "scope": self.scope}
        fields["audience"] = self.audience
        headers = {"Accept": "application/json"}
        if self.in_body:
            fields |= {"client_id": self.client_id, "client_secret": secret(self.client_secret)}
        made = HttpRequest(
            "POST",
            self.token_url,
            data={name: value for name, value in fields.items() if value is not None},
            headers=headers,
        )
        if not self.in_body:
            basic = BasicAuth(self.client_id, secret(self.client_secret))
            made = next(basic.auth_flow(made))
        return made

    def _take(self, response: HttpResponse, asked: float) -> None:
        mask = Mask(self.secrets())
        shown = mask(response.text)[:SHOWN_BYTES]
        if response.status_code != OK:
            raise self._refused(
                f"HTTP {response.status_code}: {shown}", response.status_code, shown
            )
        try:
            fields = loads(response.content)
        except OutputError:
            fields = None
        if not isinstance(fields, dict) or not isinstance(fields.get("access_token"), str):
            raise self._refused("it answers without an access_token", None, "")
        self._token = fields["access_token"]
        try:
            lifetime = float(fields.get("expires_in") or DEFAULT_LIFETIME)
        except (TypeError, ValueError):
            lifetime = DEFAULT_LIFETIME
        self._renew = asked + lifetime - min(self.early, lifetime / 2)

    def _refused(self, why: str, status: int | None, body: str) -> AuthenticationError:
        host = urlsplit(self.token_url).hostname
        error = AuthenticationError(f"no token from {host}: {why}")
        error.status, error.body = status, body
        return error

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without locks and tokens."""
        kept = {"_token": None, "_renew": 0.0, "_locks": None}
        return {**self.__dict__, **kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the fields, with no token yet."""
        self.__dict__.update(state, _locks=weakref.WeakKeyDictionary())
