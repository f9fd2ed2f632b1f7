"""Pieces are taken together where they come faster than they are taken."""

import asyncio

import pytest

from chatwright.run.piled import piled


async def test_what_came_meanwhile_comes_together():
    go = asyncio.Event()

    async def pieces():
        yield 1
        await go.wait()
        for n in range(2, 100):
            yield n

    lists = piled(pieces())
    assert await anext(lists) == [1]
    go.set()
    await asyncio.sleep(0)
    rest = [each async for each in lists]
    assert [n for each in rest for n in each] == [*range(2, 100)]
    assert len(rest) < 10


async def test_pieces_are_read_on_while_nobody_takes_them():
    read = []

    async def pieces():
        for n in range(5):
            read.append(n)
            yield n
            await asyncio.sleep(0)

    lists = piled(pieces())
    first = await anext(lists)
    while len(read) < 5:
        await asyncio.sleep(0)
    assert first + [n async for each in lists for n in each] == [*range(5)]


async def test_an_error_comes_after_what_came_before_it():
    async def pieces():
        yield 1
        yield 2
        raise KeyError("x")

    got = []
    with pytest.raises(KeyError):
        async for each in piled(pieces()):
            got += each
    assert got == [1, 2]


async def test_nothing_is_nothing():
    async def pieces():
        for each in ():
            yield each

    assert [each async for each in piled(pieces())] == []


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_whoever_stops_reading_closes_them(how):
    closed = asyncio.Event()

    async def pieces():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    lists = piled(pieces())
    assert await anext(lists) == [1]
    if how == "closed":
        await lists.aclose()
    else:
        waiting = asyncio.ensure_future(anext(lists))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert closed.is_set()
