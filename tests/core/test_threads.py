"""Sync sources under many tasks."""

import asyncio
import contextvars
import os
import threading

import pytest

from chatwright import chat_model
from chatwright.core.threads import Threads, threads


def running():
    return sum(each.name == "chatwright-source" for each in threading.enumerate())


async def test_a_thousand_tasks_share_a_bounded_number_of_threads():
    release, most = threading.Event(), []

    @chat_model
    def waits(messages):
        most.append(running())
        release.wait(60)
        return "done"

    tasks = [asyncio.create_task(waits.ainvoke("x")) for _ in range(1000)]
    while waits.queue_size < 1000 - threads.limit:
        await asyncio.sleep(0.01)
    assert running() <= threads.limit
    release.set()
    assert {each.text for each in await asyncio.gather(*tasks)} == {"done"}
    assert waits.queue_size == 0
    assert max(most) <= threads.limit


async def test_a_call_inside_of_a_source_never_queues(monkeypatch):
    monkeypatch.setattr(threads, "limit", 2)

    @chat_model
    def inner(messages):
        return "inner"

    @chat_model
    def outer(messages):
        return asyncio.run(inner.ainvoke(messages)).text

    answers = await asyncio.wait_for(asyncio.gather(*(outer.ainvoke("x") for _ in range(8))), 60)
    assert {each.text for each in answers} == {"inner"}


async def test_a_call_that_is_cancelled_while_it_queues_never_runs(monkeypatch):
    monkeypatch.setattr(threads, "limit", 1)
    release, asked = threading.Event(), []

    @chat_model
    def waits(messages):
        asked.append(messages[0].text)
        release.wait(60)
        return "done"

    first = asyncio.create_task(waits.ainvoke("first"))
    second = asyncio.create_task(waits.ainvoke("second"))
    while waits.queue_size < 1:
        await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    assert (await waits.ainvoke("third")).text == "done"
    assert asked == ["first", "third"]


def test_a_thread_that_can_not_start_leaves_its_place(monkeypatch):
    pool, ran = Threads(1), threading.Event()

    def fails(job):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(pool, "_launch", fails)
        with pytest.raises(RuntimeError):
            pool.start(ran.set, contextvars.copy_context())
    pool.start(ran.set, contextvars.copy_context())
    assert ran.wait(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_anew():
    pool = Threads(1)
    pool._busy = 1
    pool.reset()
    ran = threading.Event()
    pool.start(ran.set, contextvars.copy_context())
    assert ran.wait(60)
