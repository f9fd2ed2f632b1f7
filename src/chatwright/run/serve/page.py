"""The page at `/`, and its files: plain modules, which a browser runs as they lie here."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatwright.run.serve.failures import Failure

__all__ = ["page"]

_FOLDER = Path(__file__).with_name("page")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""By the files' endings: what a machine's own table says of them may be wrong."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class _File(NamedTuple):
    """A file of the page's.

    Args:
        data: What it holds.
        etag: Its mark, for caches.
        media_type: What HTTP calls it.
    """

    data: bytes
    etag: str
    media_type: str


def page() -> list[BaseRoute]:
    """Return the routes: `/`, and `/page/…`."""
    return [Route("/", _file), Route("/page/{name:path}", _file)]


@cache
def _files() -> Mapping[str, _File]:
    """Return the page's files by their paths: no request names a file of the disk."""
    return {
        path.relative_to(_FOLDER).as_posix(): _read(path)
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file()
    }


def _read(path: Path) -> _File:
    data = path.read_bytes()
    media_type = _TYPES.get(path.suffix, "text/plain; charset=utf-8")
    return _File(data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', media_type)


async def _file(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    found = _files().get(name)
    if found is None:
        failure = Failure(404, f"the page has no file {name!r}")
        return Response(failure.body(None), failure.status, media_type="application/json")
    headers = {
        "Cache-Control": "no-cache",  # it is kept, and asked for anew: a new version shows at once
        "Content-Security-Policy": _POLICY,
        "ETag": found.etag,
    }
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=found.media_type)
