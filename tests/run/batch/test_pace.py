"""How fast a batch asks, on a clock of its own."""

import heapq
import random

import pytest

from chatwright.run.batch import pace as module
from chatwright.run.batch.pace import Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module.asyncio, "sleep", clock.sleep)
    return clock


def simulated(capacity, answers, clock):
    """Ask a side that answers so many at once, 50 ms each; return its load and the last limit."""
    random.seed(7)
    pace, began = Pace(clock=clock), clock()
    free, in_flight = [clock()] * capacity, []
    for _ in range(answers):
        while len(in_flight) < pace.limit:
            end = max(heapq.heappop(free), clock()) + 0.05 * random.uniform(0.8, 1.2)
            heapq.heappush(free, end)
            heapq.heappush(in_flight, end)
        clock.now = heapq.heappop(in_flight)
        pace.went_well()
    return answers * 0.05 / capacity / (clock() - began), pace.limit


@pytest.mark.parametrize("capacity", [1, 4, 8, 32, 100])
def test_the_limit_finds_what_the_other_side_can_do(capacity, clock):
    load, limit = simulated(capacity, 200 * capacity + 2000, clock)
    assert load > 0.9
    assert limit <= 5 * capacity + 8


def test_a_fixed_limit_stays(clock):
    pace = Pace(7, clock=clock)
    for _ in range(500):
        pace.went_well()
    pace.was_busy(None)
    assert pace.limit == 7


def test_a_busy_side_halves_the_limit_once_for_all_that_were_told_so(clock):
    pace = Pace(clock=clock)
    pace.limit = 64
    for _ in range(40):
        pace.was_busy(2.0)
    assert pace.limit == 32
    clock.now += 3
    pace.was_busy(2.0)
    assert pace.limit == 16


async def test_nothing_is_asked_until_the_time_that_was_named(clock):
    pace = Pace(4, clock=clock)
    pace.was_busy(12.5)
    await pace.ready()
    assert clock() == pytest.approx(112.5)


async def test_requests_a_minute_are_kept_to(clock):
    pace = Pace(64, rate=120, clock=clock)
    for _ in range(61):
        await pace.ready()
    assert clock() == pytest.approx(130.0)


async def test_tokens_a_minute_are_kept_to_by_what_was_taken(clock):
    pace = Pace(64, token_rate=6000, clock=clock)
    for _ in range(10):
        await pace.ready(100)
        pace.took(100, 300)
    assert clock() == pytest.approx(100 + 9 * 3.0)
