"""Responses that are kept, for requests that go on from them: in memory, and bounded."""

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.run.serve.failures import HttpError
from chatwright.run.serve.limits import Limits

__all__ = ["Kept", "KeptResponses", "Owner"]

log = logging.getLogger("chatwright.serve")


@dataclass(frozen=True)
class Owner:
    """Who may read a response and go on from it.

    Args:
        client: The name of the key's owner; None where no keys are asked for.
        socket: The WebSocket that alone may, of a response that was not to be stored; else None.
    """

    client: str | None = None
    socket: str | None = None


@dataclass
class Kept:
    """A response that is kept.

    Args:
        owner: Whose it is.
        response: It.
        items: What its request said beyond the response that it went on from.
        size: How large both are, in bytes.
        used: When it was made, or last gone on from.
    """

    owner: Owner
    response: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    size: int
    used: float = field(default_factory=time.monotonic)


class KeptResponses:
    """Keeps the responses that were used last, each with what is its own of the conversation.

    A conversation can be gone on from as long as all of it is kept.

    Args:
        limits: How many, how large together, and how long.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin with none."""
        self._limits = limits
        self._kept: OrderedDict[str, Kept] = OrderedDict()  # the one used last is the last
        self._size = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._kept)

    def keep(
        self, owner: Owner, response: Mapping[str, Any], items: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keep a response, and let go of those that are too many, too large or too old."""
        size = len(json.dumps([response, items]))
        if size > self._limits.kept_bytes:
            log.warning("a response of %d bytes is not kept: kept_bytes is less", size)
            return
        self._kept[response["id"]] = Kept(owner, response, items, size)
        self._size += size
        self._trim()

    def find(self, response_id: str, owner: Owner) -> Kept | None:
        """Return a response; None where it is not kept, or not this owner's."""
        self._trim()
        kept = self._kept.get(response_id)
        if kept is None or kept.owner not in {owner, Owner(owner.client)}:
            return None
        return kept

    def conversation(self, response_id: str, owner: Owner) -> list[Mapping[str, Any]]:
        """Return the items of the conversation up to a response, and that one's output.

        Raises:
            HttpError: Not all of it is kept (400, `previous_response_not_found`).
        """
        chain: list[tuple[str, Kept]] = []
        name: str | None = response_id
        while name is not None:
            kept = self.find(name, owner)
            if kept is None:
                raise _not_found(response_id)
            chain.append((name, kept))
            name = kept.response["previous_response_id"]
        chain.reverse()
        for each, kept in chain:  # the first ones are let go of first
            kept.used = time.monotonic()
            self._kept.move_to_end(each)
        return [item for _, kept in chain for item in (*kept.items, *kept.response["output"])]

    def drop(self, response_id: str) -> None:
        """Let go of a response, where it is kept."""
        kept = self._kept.pop(response_id, None)
        if kept is not None:
            self._size -= kept.size

    def leave(self, socket: str) -> None:
        """Let go of what a WebSocket alone may go on from, once that is closed."""
        for name in [n for n, kept in self._kept.items() if kept.owner.socket == socket]:
            self.drop(name)

    def _trim(self) -> None:
        limits, oldest = self._limits, time.monotonic() - self._limits.kept_seconds
        while self._kept:
            name, first = next(iter(self._kept.items()))
            full = len(self._kept) > limits.kept or self._size > limits.kept_bytes
            if not full and first.used >= oldest:
                return
            self.drop(name)


def _not_found(response_id: str) -> HttpError:
    return HttpError(
        400,
        f"Previous response with id {response_id!r} not found: it is not kept here, or no longer; "
        "send the whole conversation as input",
        code="previous_response_not_found",
        param="previous_response_id",
    )
