import asyncio
import contextvars
import gc
import os
import random
import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatwright import chat_model
from chatwright.checks.calls.modes import Recorder
from chatwright.core import channel as channels
from chatwright.core.bridge import Channel, Pump, Within, aread, is_async, read
from chatwright.testing import Pause, ScriptedModel
from waiting import PATIENCE, eventually, soon


def returning():
    return "abc"


def yielding():
    yield from "abc"


async def coroutine():
    await asyncio.sleep(0)
    return "abc"


async def async_generator():
    for each in "abc":
        await asyncio.sleep(0)
        yield each


def pushing():
    return Pump(lambda put: [put(each) for each in "abc"])


SOURCES = [returning, yielding, coroutine, async_generator, pushing]


def workers():
    return [each for each in threading.enumerate() if each.name == "chatwright-source"]


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_is_read_by_a_thread(source):
    assert "".join(read(source)) == "abc"


@pytest.mark.parametrize("source", SOURCES)
async def test_every_kind_is_read_by_a_task_and_from_inside_a_loop(source):
    items = [each async for each in aread(source, runs_async=is_async(source))]
    assert "".join(items) == "abc"
    assert "".join(read(source)) == "abc"


def test_to_return_none_is_to_yield_nothing():
    async def anone():
        return None

    assert list(read(lambda: None)) == list(read(anone)) == []


async def test_one_thread_serves_one_stream_however_long():
    seen = set()

    def source():
        for _ in range(5000):
            seen.add(threading.get_ident())
            yield "x"

    assert len([each async for each in aread(source, runs_async=False)]) == 5000
    assert len(seen) == 1
    assert soon(lambda: not workers())


async def test_a_fast_source_is_handed_over_in_batches():
    wakes = 0
    real = channels._TaskEvent._resolve

    def counted(self):
        nonlocal wakes
        wakes += 1
        real(self)

    channels._TaskEvent._resolve = counted
    try:
        items = [x async for x in aread(lambda: iter(range(20_000)), runs_async=False)]
    finally:
        channels._TaskEvent._resolve = real
    assert items == list(range(20_000))
    assert wakes < 4000


async def test_a_slow_reader_stops_the_source():
    made = 0

    def source():
        nonlocal made
        while True:
            made += 1
            yield "x" * 1000

    stream = aread(source, runs_async=False)
    await anext(stream)
    await asyncio.sleep(0.1)
    assert made <= 2 * channels.CAPACITY + 2
    await stream.aclose()
    assert soon(lambda: not workers())


def test_a_slow_reader_stops_an_async_source_too():
    made = 0

    async def source():
        nonlocal made
        while True:
            made += 1
            yield "x"

    stream = read(source)
    next(stream)
    time.sleep(0.1)
    assert made <= 2 * channels.CAPACITY + 2
    stream.close()


async def test_closing_reaches_the_source_at_its_next_yield():
    closed = threading.Event()

    def source():
        try:
            while True:
                time.sleep(0.01)
                yield "x"
        finally:
            closed.set()

    stream = aread(source, runs_async=False)
    await anext(stream)
    await stream.aclose()
    assert soon(closed.is_set)
    assert soon(lambda: not workers())


def test_closing_cancels_an_async_source_that_waits():
    ended = threading.Event()

    async def source():
        try:
            yield "x"
            await asyncio.sleep(60)
        finally:
            ended.set()

    stream = read(source)
    assert next(stream) == "x"
    stream.close()
    assert soon(ended.is_set)


@pytest.mark.parametrize("error", [KeyError("k"), KeyboardInterrupt(), SystemExit(3)])
async def test_whatever_a_source_raises_reaches_the_reader(error):
    def source():
        yield "x"
        raise error

    got = []
    with pytest.raises(type(error)) as caught:
        async for each in aread(source, runs_async=False):
            got.append(each)
    assert caught.value is error
    assert got == ["x"]


async def test_context_variables_are_carried():
    who = contextvars.ContextVar("who", default="nobody")
    who.set("me")

    def source():
        yield who.get()

    async def asource():
        yield who.get()

    assert [x async for x in aread(source, runs_async=False)] == ["me"]
    assert list(read(asource)) == ["me"]
    pump = Pump(lambda put: put(who.get()))
    assert list(pump.read()) == ["me"]


def test_a_source_on_the_background_loop_may_read_another_synchronously():
    async def inner():
        yield "deep"

    async def middle():
        for each in read(inner):
            yield each

    async def outer():
        for each in read(middle):
            yield each

    assert list(read(outer)) == ["deep"]


async def test_a_loop_that_closes_leaves_no_thread_behind():
    def once():
        async def ask():
            stream = aread(lambda: iter(int, 1), runs_async=False)
            await anext(stream)

        asyncio.run(ask())

    await asyncio.to_thread(once)
    gc.collect()
    assert soon(lambda: not workers())


def test_a_channel_tells_of_its_close_even_late():
    channel, told = Channel(), []
    channel.close()
    channel.on_close(lambda: told.append(1))
    assert told == [1]
    assert channel.put("x") is True


async def cancel_at_random(seed, runs_async):
    """Cancel an answer midway: at its very end core forgets its run, between two turns."""
    chooser = random.Random(seed)
    script = ["a", Pause(0), "b", Pause(0.0005), "c"] * 2000
    model = ScriptedModel(script=script, runs_async=runs_async)
    recorder = Recorder()
    recorder.run_inline = True  # on a thread a start could be told after the cancel, and no end
    way = chooser.choice(["astream", "ainvoke", "close"])

    async def ask():
        config = {"callbacks": [recorder]}
        if way == "ainvoke":
            return await model.ainvoke("x", config)
        stream = model.astream("x", config)
        left = chooser.randrange(1, 60)
        async for _ in stream:
            left -= 1
            if not left and way == "close":
                await stream.aclose()
                return None
        return None

    task = asyncio.create_task(ask())
    await asyncio.sleep(chooser.random() * 0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if "on_chat_model_start" in recorder.names():
        await eventually(recorder.ends)  # core shields its last callback, which may come later
    return model, recorder


@pytest.mark.parametrize("runs_async", [False, True])
async def test_a_thousand_cancels_leave_nothing_behind(runs_async):
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    models = []
    for start in range(0, 1000, 50):
        models += await asyncio.gather(
            *[cancel_at_random(seed, runs_async) for seed in range(start, start + 50)]
        )
    assert await eventually(lambda: threading.active_count() <= threads + 2)
    assert len(asyncio.all_tasks()) == tasks
    started = [(m, r) for m, r in models if "on_chat_model_start" in r.names()]
    assert len(started) > 500
    assert {len(recorder.ends()) for _, recorder in started} == {1}
    assert soon(lambda: all(m.closed == len(m.requests) for m, _ in models))


@settings(max_examples=30, deadline=None, suppress_health_check=[*HealthCheck])
@given(seeds=st.lists(st.integers(0, 10**9), min_size=1, max_size=12), runs_async=st.booleans())
def test_random_schedules_end_every_run_exactly_once(seeds, runs_async):
    async def schedule():
        return await asyncio.gather(*[cancel_at_random(seed, runs_async) for seed in seeds])

    for _, recorder in asyncio.run(schedule()):
        if "on_chat_model_start" in recorder.names():
            assert len(recorder.ends()) == 1
    assert soon(lambda: not workers())


def test_threads_that_read_async_sources_at_once_share_one_loop():
    loops, got = set(), []

    async def source():
        loops.add(id(asyncio.get_running_loop()))
        for each in range(20):
            await asyncio.sleep(0.001)
            yield each

    async def value():
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.01)
        return "value"

    def ask(number):
        got.append(list(read(source if number % 2 else value)))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not [each for each in threads if each.is_alive()]
    assert sorted(got, key=len) == [["value"]] * 6 + [list(range(20))] * 6
    assert len(loops) == 1


def test_a_reader_that_pauses_holds_nobody_up():
    async def endless():
        while True:
            await asyncio.sleep(0)
            yield "x"

    async def value():
        await asyncio.sleep(0.001)
        return "value"

    paused = read(endless)
    next(paused)
    assert list(read(value)) == ["value"]
    assert next(paused) == "x"
    paused.close()


def interrupt():
    """Interrupt this process as Ctrl-C does, once the caller has come to wait."""
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()


def test_an_interrupt_while_it_waits_leaves_the_loop_usable():
    async def slow():
        interrupt()
        await asyncio.sleep(600)
        yield "never"

    async def slow_value():
        interrupt()
        await asyncio.sleep(600)

    for source in (slow, slow_value):
        with pytest.raises(KeyboardInterrupt):
            list(read(source))
        assert list(read(async_generator)) == ["a", "b", "c"]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_sources_nest_to_any_depth_through_threads_and_loops(depth):
    def build(level):
        if level == 0:
            return async_generator

        async def on_the_loop():
            for each in read(build(level - 1)):
                yield each

        async def through_a_thread():
            async for each in aread(lambda: read(build(level - 1)), runs_async=False):
                yield each

        return through_a_thread if level % 2 else on_the_loop

    assert list(read(build(depth))) == ["a", "b", "c"]


def test_a_source_that_cleans_up_slowly_is_let_to_and_stops_nobody_else():
    cleaned = threading.Event()

    async def slow_to_leave():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0.4)
            cleaned.set()

    stream = read(slow_to_leave)
    next(stream)
    stream.close()
    assert list(read(coroutine)) == ["abc"]
    assert soon(cleaned.is_set)
    assert list(read(coroutine)) == ["abc"]


def test_a_slow_reader_makes_no_time_limit_run_out():
    async def limited():
        for each in "abc":
            async with asyncio.timeout(1):
                await asyncio.sleep(0.02)
            yield each

    got = []
    for each in read(limited):
        if not got:
            time.sleep(1.2)
        got.append(each)
    assert got == ["a", "b", "c"]


def test_a_source_that_reads_others_by_threads_does_not_deadlock():
    inner = chat_model(coroutine_of("deep"))

    @chat_model
    async def by_batch(messages):
        return "".join(each.text for each in inner.batch(["a", "b"]))

    @chat_model
    async def by_batch_streaming(messages):
        yield "".join(each.text for each in inner.batch(["a", "b"]))

    assert by_batch.invoke("x").text == "deepdeep"
    assert by_batch_streaming.invoke("x").text == "deepdeep"


def coroutine_of(word):
    async def says(messages):
        await asyncio.sleep(0.001)
        return word

    return says


def test_an_inner_stream_that_is_left_early_is_cleaned_up():
    cleaned = threading.Event()

    async def inner():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            cleaned.set()

    async def outer():
        for each in read(inner):
            yield each
            break

    assert list(read(outer)) == ["x"]
    assert soon(cleaned.is_set)


async def test_what_a_coroutine_returns_is_one_item_in_either_colour():
    async def returns_a_generator():
        return iter("abc")

    (item,) = read(returns_a_generator)
    assert list(item) == [*"abc"]
    (item,) = [each async for each in aread(returns_a_generator, runs_async=True)]
    assert list(item) == [*"abc"]


def test_an_interrupted_wait_cancels_the_coroutine():
    ended = threading.Event()
    assert list(read(async_generator)) == ["a", "b", "c"]  # our thread runs the loop from now on

    async def slow():
        interrupt()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        list(read(slow))
    assert soon(ended.is_set)


def test_a_variable_that_is_set_twice_has_its_first_value_again_afterwards():
    variable = contextvars.ContextVar("variable", default="mine")
    with Within([(variable, "one"), (variable, "two")]):
        assert variable.get() == "two"
    assert variable.get() == "mine"
