"""What is needed of a provider's own batches, whoever speaks with the provider."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from chatwright.langchain.model import ChatModel
from chatwright.wires.batches import Answer, Batch, BatchFormat

__all__ = ["Provider"]


class Provider(Protocol):
    """A provider's batches; `chatwright.wrap.endpoint.batches` has them over HTTP.

    Attributes:
        name: The provider's host, for people.
        path: Where a request goes: `/chat/completions`.
        share: What of the price is paid.
    """

    name: str
    path: str
    share: float

    @property
    def model(self) -> ChatModel:
        """Gives requests' bodies (`explain`); inside of `answering` it answers."""

    @property
    def format(self) -> BatchFormat:
        """How batches are written and read, and how large they may be."""

    def answering(self, answer: Answer) -> AbstractContextManager[None]:
        """Have `model` answer with what came."""

    async def upload(self, path: Path, token: str) -> str:
        """Hand in a file of requests, and return its id; empty where none is needed."""

    async def create(self, path: Path, file: str, token: str) -> Batch:
        """Make a batch."""

    async def newest(self) -> str:
        """Return the id of the batch that was made last; empty for none."""

    async def newer(self, than: str) -> list[Batch]:
        """Return the batches that were made since another one."""

    async def look(self, batch_id: str) -> Batch:
        """Return how far a batch is."""

    async def cancel(self, batch_id: str) -> Batch:
        """Have a batch end early."""

    def answers(self, batch: Batch) -> AsyncIterator[Answer]:
        """Yield what became of requests, in any order."""
