"""`BatchedEndpoint`: an endpoint whose requests and answers go by files, not by a connection."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from langchain_core.messages.ai import UsageMetadata

from chatwright.errors import LoadError
from chatwright.langchain.request import Request
from chatwright.wires.jsonio import dumps
from chatwright.wires.wire import Written
from chatwright.wrap.endpoint.http import Response
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.masking import Mask
from chatwright.wrap.watch import Limits, Watch

__all__ = ["BatchedEndpoint", "answering"]

_LIMITS = Limits(1.0, 1.0, 1.0)  # nothing is waited for


class _Come(NamedTuple):
    status: int
    body: bytes


_come: ContextVar[list[_Come]] = ContextVar("_come")
"""What has come and was not read yet."""


@contextlib.contextmanager
def answering(status: int, body: Any) -> Iterator[None]:
    """Have a `BatchedEndpoint` that is asked in here, once, answer with what came in a file.

    Args:
        status: The HTTP status that came.
        body: The body, as data.
    """
    token = _come.set([_Come(status, dumps(body))])
    try:
        yield
    finally:
        _come.reset(token)


class _Kept(Response):
    """A response that has come already."""

    def __init__(self, come: _Come, name: str, mask: Mask, address: str) -> None:
        self.watch = Watch(_LIMITS, name)
        self.address = address
        self.proxy = ""
        self.status = come.status
        self.headers = {"content-type": "application/json"}
        self._mask = mask
        self._left: bytes | None = come.body

    async def next(self) -> bytes | None:
        left, self._left = self._left, None
        return left

    async def settle(self) -> None:
        """Do nothing: there is no connection to be kept."""

    async def close(self) -> None:
        """Likewise."""


class BatchedEndpoint(ChatEndpoint):
    """An endpoint that sends nothing: `explain` gives a request's body, `invoke` reads an answer.

    What is taught, hoisted, filtered, counted and priced is thereby the endpoint's own.
    """

    share: float = 1.0
    """What of the price is paid."""

    @classmethod
    def of(cls, endpoint: ChatEndpoint, share: float) -> "BatchedEndpoint":
        """Return the one that an endpoint becomes.

        Args:
            endpoint: The endpoint.
            share: What of the price is paid.

        Raises:
            LoadError: It names no model, or is of a class that has ways of its own.
        """
        if type(endpoint) is not ChatEndpoint:
            raise LoadError(
                f"{type(endpoint).__name__} may write requests its own way; give the ChatEndpoint "
                "itself for via='provider', or leave it out"
            )
        if endpoint.ask(Request([])).model is None:
            raise LoadError(
                f"{endpoint.base_url}: a batch's requests have to name their model; name it: "
                f"{endpoint.base_url}#MODEL"
            )
        fields = {name: getattr(endpoint, name) for name in endpoint.model_fields_set}
        once = {} if endpoint.tool_retries is None else {"tool_retries": 0}
        return cls(**{**fields, **once, "max_retries": 0, "streaming": False, "share": share})

    def explained(self, request: Request) -> dict[str, Any]:
        """Return the request's body, as it is sent."""
        body: dict[str, Any] = self.written(self.ask(request)).body
        return body

    async def send(
        self,
        written: Written,
        mask: Mask,
        *,
        headers: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Response:
        """Return the response that has come."""
        del headers, seconds
        come = _come.get()
        assert come, "an answer is read once"  # noqa: S101
        return _Kept(come.pop(), self.model_name, mask, written.url)

    def _cost(self, usage: UsageMetadata, model: str) -> dict[str, Any] | None:
        cost = super()._cost(usage, model)
        if cost is None or self.share == 1.0:
            return cost
        return {
            name: each * self.share if isinstance(each, float) else each
            for name, each in cost.items()
        }
