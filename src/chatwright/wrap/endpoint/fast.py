"""HTTP by aiohttp, whose parser is written in C: the extra `fast`. The one importer of aiohttp.

It is a transport of httpx2's, so that keys, logs and everything above know no difference.
"""

import asyncio
import contextvars
import functools
import select
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from chatwright.wrap.endpoint.http import HEAD_BYTES, KEEPALIVE_SECONDS, Opened, httpx2

__all__ = ["FastTransport"]

_SKIPPED = frozenset({"content-length", "transfer-encoding"})


class FastTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests by aiohttp.

    Args:
        context: The TLS context.
        proxy: The proxy's URL, which begins with `http://`; None for none.
    """

    def __init__(self, context: ssl.SSLContext, proxy: str | None) -> None:
        """Keep the settings; the session is made on the loop that uses it.

        aiohttp is not asked to look at the environment: it would do so on a thread with every
        request, and look for a password in `~/.netrc` too, which httpx2 does not and no key allows.
        """
        self._context = context
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its response once the headers are there."""
        if self._session is None:
            self._session = self._connected()
        timeouts = request.extensions.get("timeout", {})
        headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in _SKIPPED]
        failed: Exception | None = None
        asking = _opened.set(request.extensions["opened"])
        try:
            response = await self._session.request(
                request.method,
                # aiohttp would quote what is quoted.
                URL(_whole(request), encoded=True),
                data=await request.aread() or None,
                headers=headers,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.get("connect")),
                allow_redirects=False,
            )
        except Exception as error:  # noqa: BLE001  it is raised, translated or as it is
            failed = _translated(error)
        finally:
            _opened.reset(asking)
        if failed is not None:  # outside of the handler: no error that shows the URL hangs on it
            raise failed
        return httpx2.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _connected(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._context,
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            socket_factory=_socket,
        )
        loop = asyncio.get_running_loop()
        made: Any = functools.partial(_NothingLeft, loop=loop)
        connector._factory = made  # noqa: SLF001  there is no other way in
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            skip_auto_headers=[
                hdrs.ACCEPT,
                hdrs.ACCEPT_ENCODING,
                hdrs.CONTENT_TYPE,
                hdrs.USER_AGENT,
            ],
            read_bufsize=2**18,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class _NothingLeft(ResponseHandler):
    """A connection that ends where something came before it was asked: another request's answer.

    aiohttp looks for that when a connection is given back, not when it is taken again (3.14);
    between two calls of sync code no loop reads at all.
    """

    _is_used = False

    def set_response_params(self, **told: Any) -> None:
        """Begin a request."""
        if self.should_close or (self._is_used and _is_readable(self.transport)):
            self.close()
            self._buffer.clear()  # or it would be taken for the answer all the same
        self._is_used = True
        super().set_response_params(**told)


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    """Tell whether something has come that nobody has read: more of an answer, or its end."""
    if sys.platform == "win32" or transport is None or not hasattr(select, "poll"):
        return False
    news = select.poll()
    news.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(news.poll(0))


_opened: contextvars.ContextVar[Opened] = contextvars.ContextVar("_opened")
"""Where a connection is told of that has to be made for the request."""


def _socket(address: Any) -> socket.socket:
    """Make the socket of a new connection."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    _opened.get().on(made)
    return made


def _whole(request: httpx2.Request) -> str:
    """Return the URL with its query, which a URL of ours does not show."""
    url = request.url
    return f"{url.scheme}://{url.netloc.decode()}{url.raw_path.decode()}"


class _Body(httpx2.AsyncByteStream):
    """A response's body: all that has come, at once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        failed: Exception | None = None
        while failed is None:
            try:
                data = await content.readany()
            except Exception as error:  # noqa: BLE001  it is raised, translated or as it is
                failed = _translated(error)
            else:
                if not data:
                    return
                yield data
        raise failed

    async def aclose(self) -> None:
        """Give the connection back, or end it where its body has not ended."""
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


def _translated(error: Exception) -> Exception:
    """Return one of aiohttp's errors as httpx2's, without the URL, where a key may stand."""
    match error:
        case aiohttp.ServerTimeoutError() | aiohttp.ConnectionTimeoutError():
            return httpx2.ConnectTimeout("")
        case aiohttp.ClientProxyConnectionError():
            return httpx2.ProxyError(
                f"no connection to {error.host}:{error.port}: {error.os_error}"
            )
        case aiohttp.ClientHttpProxyError():
            return httpx2.ProxyError(f"{error.status} {error.message}")
        case aiohttp.ClientConnectorCertificateError():
            return httpx2.ConnectError(str(error.certificate_error))
        case aiohttp.ClientConnectorError():
            return httpx2.ConnectError(str(error.os_error))
        case aiohttp.InvalidURL():
            return httpx2.UnsupportedProtocol("")
        case aiohttp.ClientResponseError():  # it shows the URL
            return httpx2.RemoteProtocolError(f"{error.status} {error.message}")
        case aiohttp.ClientError() | ConnectionError():
            return httpx2.ReadError(str(error) or type(error).__name__)
    return error
