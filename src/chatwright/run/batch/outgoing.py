"""Requests go out as a provider's batches: each is made once, whatever is lost or killed."""

import asyncio
import contextlib
import os
import secrets
import time
from typing import BinaryIO

from chatwright.errors import BatchError, SourceError
from chatwright.run.batch.failures import Trouble, trouble_of
from chatwright.run.batch.ledger import Entry, Ledger, Request
from chatwright.run.batch.pace import backoff
from chatwright.run.batch.provider import Provider
from chatwright.wires.batches import Batch

__all__ = ["Outgoing", "adopt"]

_NOT_THERE = frozenset({404, 405, 501})
_TOO_MANY = 429


class Outgoing:
    """Requests on their way out.

    Args:
        provider: Whose batches they become.
        ledger: Notes what is out.
        max_retries: How often a request that may go well another time is made again.
    """

    def __init__(self, provider: Provider, ledger: Ledger, max_retries: int) -> None:
        """Begin with none."""
        self._provider = provider
        self._ledger = ledger
        self._max_retries = max_retries
        self._entry: Entry | None = None
        self._file: BinaryIO | None = None
        self._rows: list[Request] = []
        self._size = 0

    @property
    def number(self) -> int:
        """The number of the batch that rows go into now."""
        return self._begun()[0].number

    def _begun(self) -> tuple[Entry, BinaryIO]:
        if self._entry is None or self._file is None:
            self._entry = self._ledger.begin(secrets.token_hex(12))
            self._file = self._ledger.requests(self._entry).open("wb")
            self._rows, self._size = [], 0
        return self._entry, self._file

    async def put(self, line: bytes, request: Request, reserved: float) -> None:
        """Take a request; a batch that is full goes out before.

        Args:
            line: It, as the provider has it.
            request: Its row.
            reserved: What it may cost at most, in USD.

        Raises:
            BatchError: A batch can't be handed in.
        """
        form = self._provider.format
        rows = min(form.rows, self._ledger.most or form.rows)
        if self._rows and (len(self._rows) >= rows or self._size + len(line) > form.size):
            await self.send()
        entry, file = self._begun()
        file.write(line)
        entry.reserved += reserved
        self._rows.append(request)
        self._size += len(line)

    async def send(self) -> None:
        """Hand in what has been taken.

        Raises:
            BatchError: It can't be; it is kept, and goes out the next time, or it is refused.
        """
        entry, file, rows = self._entry, self._file, self._rows
        self._entry = self._file = None
        if entry is None or file is None:
            return
        with file:
            file.flush()
            os.fsync(file.fileno())
        self._ledger.add(entry, rows)
        await self.hand_in(entry)

    def drop(self) -> None:
        """Forget what has been taken and not handed in; its rows are read anew the next time."""
        if self._file is not None and self._entry is not None:
            self._file.close()
            self._ledger.requests(self._entry).unlink(missing_ok=True)
        self._entry = self._file = None

    async def hand_in(self, entry: Entry, *, is_doubtful: bool = False) -> None:
        """Make a batch, unless it is made already.

        Args:
            entry: The batch.
            is_doubtful: Whether it may have been made, as after a kill.

        Raises:
            BatchError: It can't be made.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                if is_doubtful and await self.is_found(entry):
                    return
                await self._make(entry)
            except SourceError as error:
                trouble = trouble_of(error)
                if attempts > self._max_retries or not trouble.may_pass:
                    raise self._failed(entry, trouble, is_doubtful=is_doubtful) from error
                is_doubtful = is_doubtful or trouble.status != _TOO_MANY
                await asyncio.sleep(backoff(attempts, trouble.after))
            else:
                return

    async def _make(self, entry: Entry) -> None:
        ledger, path = self._ledger, self._ledger.requests(entry)
        if not entry.file:
            entry.file = await self._provider.upload(path, entry.token)
            ledger.save()
        if entry.before is None:
            entry.before = await self._provider.newest()
            ledger.save()
        adopt(ledger, entry, await self._provider.create(path, entry.file, entry.token))

    def _failed(self, entry: Entry, trouble: Trouble, *, is_doubtful: bool) -> BatchError:
        """Return the error for a batch that can't be made; one that was refused is forgotten."""
        name = self._provider.name
        if is_doubtful or trouble.may_pass or trouble.status is None:
            return BatchError(
                f"a batch of {entry.rows} rows can't be handed in to {name} now "
                f"({trouble.message}); it is kept, and the same command goes on from there"
            )
        self._ledger.forget(entry)
        hint = "; it may have no batches: then leave out --via provider"
        fix = hint if trouble.status in _NOT_THERE else ""
        return BatchError(
            f"{name} does not take a batch of {entry.rows} rows: {trouble.message}{fix}"
        )

    async def is_found(self, entry: Entry) -> bool:
        """Look for a batch that may have been made; tell whether it was, or may still have been.

        By OpenAI's reference a batch tells its file and the name that we gave it. Anthropic's tell
        neither: one with as many rows is ours if its answers are, which can be seen at its end.

        Args:
            entry: The batch.

        Raises:
            BatchError: It can't be told.
            SourceError: Likewise, now.
        """
        if entry.before is None:  # nothing was asked for yet
            return False
        try:
            batches = await self._provider.newer(entry.before)
        except SourceError as error:
            if error.status not in _NOT_THERE:
                raise
            raise BatchError(
                f"it can't be told whether a batch of {entry.rows} rows was made, for "
                f"{self._provider.name} lists none; look there. If it was not, remove "
                f"{self._ledger.path}"
            ) from error
        known, is_open = {each.id for each in self._ledger.entries}, False
        for batch in batches:
            if batch.id in known:
                continue
            is_ours = await self._is_ours(batch, entry)
            if is_ours:
                adopt(self._ledger, entry, batch)
                return True
            is_open = is_open or is_ours is None
        if is_open:
            entry.told = "perhaps made; its end will tell"
        return is_open

    async def _is_ours(self, batch: Batch, entry: Entry) -> bool | None:
        """Tell whether a batch is the one that was to be made; None where its end has to tell."""
        if batch.file or batch.token:
            return batch.token == entry.token or (bool(entry.file) and batch.file == entry.file)
        if batch.total not in {0, entry.rows}:
            return False
        if not batch.has_ended:
            return None
        keys = {each.key.hex() for each in self._ledger.rows(entry)}
        async with contextlib.aclosing(self._provider.answers(batch)) as answers:  # type: ignore[type-var]  # a generator
            async for each in answers:
                return each.key in keys
        return False


def adopt(ledger: Ledger, entry: Entry, batch: Batch) -> None:
    """Note that a batch is made; its file of requests is of no more use.

    Args:
        ledger: Notes it.
        entry: What is noted of it.
        batch: What the provider says of it.
    """
    entry.id, entry.state, entry.told = batch.id, "out", batch.state
    entry.created = entry.created or time.time()
    ledger.save()
    ledger.requests(entry).unlink(missing_ok=True)
