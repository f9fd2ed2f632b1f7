"""A provider's own batches over HTTP: OpenAI's, which go by files, and Anthropic's."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chatwright.errors import LoadError, OutputError, SourceError
from chatwright.wires.batches import BATCHES, Answer, Batch, BatchFormat
from chatwright.wires.jsonio import loads
from chatwright.wires.wire import Written, host
from chatwright.wrap.endpoint.batched import BatchedEndpoint, answering
from chatwright.wrap.endpoint.http import Response
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.failure import failure
from chatwright.wrap.masking import Mask

__all__ = ["Batches", "batches_of"]

_SHARES = {"api.openai.com": 0.5, "api.anthropic.com": 0.5, "api.groq.com": 0.5}
"""What of their prices providers take for batches: https://developers.openai.com/api/docs/guides/batch,
https://docs.claude.com/en/docs/build-with-claude/batch-processing, https://console.groq.com/docs/batch."""
_PAGE = 100
_NO_LIST = frozenset({404, 405, 501})
_SHOWN = 2**16
_PATIENCE = 3600.0
"""Seconds that a file of requests may take on its way."""


def batches_of(model: Any) -> "Batches":
    """Return the batches of the provider that serves a model.

    Args:
        model: The model.

    Raises:
        LoadError: It is no endpoint, its wire has no batches, or it names no model.
    """
    if not isinstance(model, ChatEndpoint):
        raise LoadError(
            f"a {type(model).__name__} can't be asked by its provider's batches: for that give the "
            "endpoint, such as https://api.openai.com/v1#MODEL, an endpoint file or a "
            "ChatEndpoint, or leave out via='provider'"
        )
    name = model.wire if isinstance(model.wire, str) else ""
    if name not in BATCHES:
        raise LoadError(
            f"servers of the wire {name or 'that is described'!r} have no batches; the wires "
            f"{', '.join(BATCHES)} have; leave out via='provider'"
        )
    made = _Anthropics if name == "anthropic" else _OpenAIs
    return made(model, BATCHES[name])


class Batches:
    """A provider's batches. Nothing is asked again here: whoever asks knows what that may double.

    Attributes:
        model: Gives requests' bodies (`explain`), and reads answers (`answering`).
        format: How batches are written and read, and how large they may be.
        share: What of the price is paid.
        path: Where a request goes, after the version: `/chat/completions`.

    Raises:
        SourceError: As the endpoint's own calls.
    """

    _list: str

    def __init__(self, endpoint: ChatEndpoint, form: BatchFormat) -> None:
        """Send nothing yet."""
        self.format = form
        self.share = _SHARES.get(host(endpoint.base_url), 1.0)
        self.model = BatchedEndpoint.of(endpoint, self.share)
        self.path = endpoint.speaks.path
        self.name = host(endpoint.base_url)
        patient = {"timeout": _PATIENCE, "first_token_timeout": _PATIENCE}
        self._endpoint = endpoint.model_copy(update=patient)

    def answering(self, answer: Answer) -> AbstractContextManager[None]:
        """Have `model` answer with what came; see `batched.answering`."""
        return answering(answer.status, answer.body)

    async def upload(self, path: Path, token: str) -> str:
        """Hand in a file of requests, and return its id; empty where none is needed.

        Args:
            path: The file.
            token: What the batch is called.
        """
        raise NotImplementedError

    async def create(self, path: Path, file: str, token: str) -> Batch:
        """Make a batch.

        Args:
            path: The file of requests.
            file: Its id.
            token: What the batch is called.
        """
        raise NotImplementedError

    def answers(self, batch: Batch) -> AsyncIterator[Answer]:
        """Yield what became of requests, in any order.

        Args:
            batch: A batch that has ended.
        """
        raise NotImplementedError

    async def newest(self) -> str:
        """Return the id of the batch that was made last; empty where there is none, or no list."""
        try:
            page = await self._get(self._list, limit="1")
        except SourceError as error:
            if error.status in _NO_LIST:
                return ""
            raise
        return next((each.id for each in self._page(page)), "")

    async def newer(self, than: str) -> list[Batch]:
        """Return the batches that were made since another one, the newest first.

        Args:
            than: The id of that; empty for all that there are.
        """
        found: list[Batch] = []
        after: dict[str, str] = {}
        while True:
            page = await self._get(self._list, limit=str(_PAGE), **after)
            batches = self._page(page)
            for each in batches:
                if each.id == than:
                    return found
                found.append(each)
            if not batches or not page.get("has_more"):
                return found
            after = {self._cursor: batches[-1].id}

    _cursor: str

    def _page(self, page: Any) -> list[Batch]:
        return [self.format.batch(each) for each in page.get("data") or ()]

    async def look(self, batch_id: str) -> Batch:
        """Return how far a batch is.

        Args:
            batch_id: Its id.
        """
        return self.format.batch(await self._get(f"{self._list}/{quote(batch_id, safe='')}"))

    async def cancel(self, batch_id: str) -> Batch:
        """Have a batch end early; what is answered by then is kept.

        Args:
            batch_id: Its id.
        """
        url = f"{self._list}/{quote(batch_id, safe='')}/cancel"
        return self.format.batch(await self._read(self._written(url, {})))

    def _written(self, path: str, body: Any, **more: Any) -> Written:
        return Written(f"{self._endpoint.base_url}{path}", body, {}, **more)

    def _once(self, path: str, body: Any, encoding: str = "json") -> Written:
        """Return a request that makes something."""
        return self._written(path, body, encoding=encoding, once=True)

    async def _get(self, path: str, **query: str) -> Any:
        return await self._read(self._written(path, query or None, method="GET", encoding="query"))

    async def _read(self, written: Written) -> Any:
        raw = bytearray()
        async for data in self._sent(written):
            raw += data
        return loads(bytes(raw))

    async def _sent(self, written: Written) -> AsyncIterator[bytes]:
        """Yield a response's body.

        Raises:
            SourceError: It is a failure.
        """
        mask = Mask()
        response = await self._endpoint.send(written, mask)
        try:
            if response.status >= 300:  # noqa: PLR2004  redirects and failures
                raise await self._failure(response, mask)
            while (data := await response.next()) is not None:
                response.watch.restart()
                yield data
        finally:
            await response.close()

    async def _failure(self, response: Response, mask: Mask) -> SourceError:
        body = b""
        while len(body) < _SHOWN and (data := await response.next()) is not None:
            body += data
        return failure(response.came, body, response.headers, name=self.name, mask=mask)

    async def _lines(self, path: str) -> AsyncIterator[Answer]:
        """Yield the answers in a file of lines."""
        rest = b""
        async for data in self._sent(self._written(path, None, method="GET")):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield self.format.answer(line)
        if rest.strip():
            yield self.format.answer(rest)


class _OpenAIs(Batches):
    """https://platform.openai.com/docs/api-reference/batch."""

    _list = "/batches"
    _cursor = "after"

    async def upload(self, path: Path, token: str) -> str:
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="chatwright-{token}.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n'
        )
        lines = await asyncio.to_thread(path.read_bytes)
        content = b"".join([head.encode(), lines, f"\r\n--{boundary}--\r\n".encode()])
        kind = f"multipart/form-data; boundary={boundary}"
        told = await self._read(self._once("/files", (kind, content), "raw"))
        if not (isinstance(told, Mapping) and isinstance(told.get("id"), str)):
            raise OutputError(f"{self.name} took a file, and names no id of it: {str(told)[:300]}")
        name: str = told["id"]
        return name

    async def create(self, path: Path, file: str, token: str) -> Batch:
        del path
        body = {
            "input_file_id": file,
            "endpoint": f"/v1{self.path}",
            "completion_window": "24h",
            "metadata": {"chatwright": token},
        }
        return self.format.batch(await self._read(self._once(self._list, body)))

    async def answers(self, batch: Batch) -> AsyncIterator[Answer]:
        for file in batch.files:
            async for each in self._lines(f"/files/{quote(file, safe='')}/content"):
                yield each


class _Anthropics(Batches):
    """https://docs.claude.com/en/api/creating-message-batches."""

    _list = "/messages/batches"
    _cursor = "after_id"

    async def upload(self, path: Path, token: str) -> str:
        del path, token
        return ""

    async def create(self, path: Path, file: str, token: str) -> Batch:
        del file, token
        lines = await asyncio.to_thread(path.read_bytes)
        lines = lines.rstrip(b"\n").replace(b"\n", b",")
        content = b"".join([b'{"requests":[', lines, b"]}"])
        written = self._once(self._list, ("application/json", content), "raw")
        return self.format.batch(await self._read(written))

    async def answers(self, batch: Batch) -> AsyncIterator[Answer]:
        # The key goes to the address that it is for, whatever results_url names.
        async for each in self._lines(f"{self._list}/{quote(batch.id, safe='')}/results"):
            yield each
