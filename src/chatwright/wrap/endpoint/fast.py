"""HTTP by aiohttp, whose parser is written in C: the extra `fast`. The one importer of aiohttp.

It is a transport of httpx2's, so that keys, logs and everything above know no difference.
"""

from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from chatwright.wrap.endpoint.http import KEEPALIVE_SECONDS, Network, httpx2, tls_context

__all__ = ["FastTransport"]

_SKIPPED = frozenset({"content-length", "transfer-encoding"})


class FastTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests by aiohttp.

    Args:
        network: How the network is reached.
    """

    def __init__(self, network: Network) -> None:
        """Keep the settings; the session is made on the loop that uses it.

        The environment's proxies are looked up here: aiohttp would do so on a thread with every
        request, and look for a password in `~/.netrc` too, which httpx2 does not and no key allows.
        """
        self._network = network
        asks = network.trust_env and network.proxy is None
        self._proxies = getproxies() if asks else {}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its response once the headers are there."""
        if self._session is None:
            self._session = self._opened()
        timeouts = request.extensions.get("timeout", {})
        headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in _SKIPPED]
        failed: Exception | None = None
        try:
            response = await self._session.request(
                request.method,
                # aiohttp would quote what is quoted.
                URL(_whole(request), encoded=True),
                data=await request.aread() or None,
                headers=headers,
                proxy=self._network.proxy or self._environments_proxy(request.url),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.get("connect")),
                allow_redirects=False,
            )
        except Exception as error:  # noqa: BLE001  it is raised, translated or as it is
            failed = _translated(error)
        if failed is not None:  # outside of the handler: no error that shows the URL hangs on it
            raise failed
        return httpx2.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _environments_proxy(self, url: httpx2.URL) -> str | None:
        proxy = self._proxies.get(url.scheme)
        if proxy is None or proxy_bypass(url.host) or proxy_bypass(url.netloc.decode()):
            return None
        return proxy

    def _opened(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=tls_context(self._network), limit=0, keepalive_timeout=KEEPALIVE_SECONDS
            ),
            auto_decompress=False,
            skip_auto_headers=[hdrs.USER_AGENT, hdrs.CONTENT_TYPE],
            read_bufsize=2**18,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


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
            return httpx2.ProxyError(str(error))
        case aiohttp.ClientHttpProxyError():
            return httpx2.ProxyError(f"{error.status} {error.message}")
        case aiohttp.ClientConnectorError():
            return httpx2.ConnectError(str(error))
        case aiohttp.InvalidURL():
            return httpx2.UnsupportedProtocol("")
        case aiohttp.ClientResponseError():  # it shows the URL
            return httpx2.ReadError(f"{error.status} {error.message}")
        case aiohttp.ClientError() | ConnectionError():
            return httpx2.ReadError(str(error) or type(error).__name__)
    return error
