"""Pieces that have piled up, taken together."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

__all__ = ["piled"]


async def piled(pieces: AsyncGenerator[Any]) -> AsyncGenerator[list[Any]]:
    """Yield, each time, all pieces that have come since the last time: at least one.

    The first one does not wait for others. Pieces are read whether or not lists are taken.

    Args:
        pieces: They; closed at the end.
    """
    pile: list[Any] = []
    news = asyncio.Event()

    async def read() -> None:
        try:
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    pile.append(piece)
                    news.set()
        finally:
            news.set()

    reader = asyncio.ensure_future(read())
    try:
        while not reader.done() or pile:
            await news.wait()
            news.clear()
            if pile:
                taken = [*pile]
                pile.clear()
                yield taken
        reader.result()
    finally:
        reader.cancel()
        await asyncio.wait({reader})
