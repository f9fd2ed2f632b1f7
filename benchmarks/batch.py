"""What `run_batch` costs, beside bare calls, the engine itself and the bounds that hold."""

import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine import SAMPLING, SYSTEM, through_xllamacpp
from benchmarks.harness import Row, turns
from benchmarks.peers import Guide
from chatwright import ChatGGUF, Scale, chat_model, run_batch

ROWS = 20_000
CHUNK = 256
ROUNDS = 5
CALL_SECONDS = 0.05
AT_ONCE = 256
FEW, MANY = 10_000, 1_000_000
PROMPTS = [f"Tell me a story about the number {number}." for number in range(256)]
TOKENS = 32
SLOTS = 8
CORES = 2


@chat_model
async def at_once(messages: Any) -> str:
    return messages[-1].text


@chat_model
async def waiting(messages: Any) -> str:
    await asyncio.sleep(CALL_SECONDS)
    return messages[-1].text


def prompts(count: int) -> Iterator[str]:
    return (f"This is the prompt of row {number}, and nobody else's." for number in range(count))


def written(path: Path, count: int) -> Path:
    with path.open("w") as file:
        for number, prompt in enumerate(prompts(count)):
            file.write(json.dumps({"id": f"row-{number}", "prompt": prompt}) + "\n")
    return path


def batched(model: Any, count: int, **options: Any) -> float:
    """Return how many seconds a file of rows takes."""
    with tempfile.TemporaryDirectory() as folder:
        rows = written(Path(folder) / "rows.jsonl", count)
        started = time.perf_counter()
        summary = run_batch(model, rows, Path(folder) / "out.jsonl", **options)
        took = time.perf_counter() - started
    assert summary.answers == count
    return took


def gathered(model: Any, count: int) -> float:
    """Return how many seconds `asyncio.gather` over `ainvoke` takes, in chunks."""

    async def work() -> None:
        asked = [*prompts(count)]
        for at in range(0, count, CHUNK):
            await asyncio.gather(*(model.ainvoke(each) for each in asked[at : at + CHUNK]))

    started = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - started


def speed() -> list[Row]:
    def ours() -> float:
        return ROWS / batched(at_once, ROWS, concurrency=64)

    def bare() -> float:
        return ROWS / gathered(at_once, ROWS)

    def core() -> float:
        model = Guide(model_name="guide", n=1000)
        asked = [*prompts(ROWS)]
        started = time.perf_counter()
        model.batch(asked)
        return ROWS / (time.perf_counter() - started)

    first, second = turns(ours, bare, ROUNDS), turns(ours, core, ROUNDS)
    work = "rows a second of a batch, a model that answers at once"
    return [
        Row(work, *first[:2], "/s", first[2], (">=", 0.8), "`gather` over `ainvoke`"),
        Row(work, *second[:2], "/s", second[2], (">=", 2.0), "the guide's model, `batch`"),
    ]


def endpoint() -> Row:
    """Measure what share of the ideal throughput an endpoint of 50 ms a call is asked with."""
    count = AT_ONCE * 40
    ideal = AT_ONCE / CALL_SECONDS
    speeds = [
        count / batched(waiting, count, concurrency=AT_ONCE, max_retries=0) for _ in range(ROUNDS)
    ]
    mine = statistics.median(speeds)
    work = f"{CALL_SECONDS * 1e3:.0f} ms a call, {AT_ONCE} at once"
    return Row(work, mine, ideal, "/s", mine / ideal, (">=", 0.95), "the ideal")


def _held(count: int, folder: str, result: Any) -> None:
    """Answer rows in a process of its own, resume, and tell its memory and the resume's time."""
    rows, output = written(Path(folder) / f"{count}.jsonl", count), Path(folder) / f"o{count}.jsonl"
    process, most = psutil.Process(), 0

    def watch(_: Any) -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)

    run_batch(at_once, rows, output, concurrency=64, watch=watch)
    held = most
    started = time.perf_counter()
    summary = run_batch(at_once, rows, output, watch=watch)
    assert summary.stats.found == count
    result.put((held / 2**20, time.perf_counter() - started, most / 2**20))


def memory() -> list[Row]:
    found = []
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            queue: Any = multiprocessing.get_context("spawn").Queue()
            work = multiprocessing.get_context("spawn").Process(
                target=_held, args=(count, folder, queue)
            )
            work.start()
            found.append(queue.get())
            work.join()
    (few, _, _), (many, resumed, resumed_held) = found
    rows = f"{MANY:,} rows of a batch: "
    print(f"{rows}{resumed_held:.0f} MiB with the resume")
    return [
        Row(f"{rows}memory", many, few, "MiB", many / few, ("<=", 1.2), f"{FEW:,} rows"),
        Row(f"{rows}memory", many, 300, "MiB", many / 300, ("<=", 1.0), "the bound"),
        Row(f"{rows}resume", resumed, 10, "s", resumed / 10, ("<=", 1.0), "the bound"),
    ]


def _engine(way: str, commands: Any, results: Any) -> None:
    """Answer the prompts in a process of its own whenever it is told to; tell tokens a second."""
    if way == "batch":
        model = ChatGGUF(
            model_path="smollm2",
            n_ctx=512,
            n_parallel=SLOTS,
            n_batch=128,
            **{**SAMPLING, "max_tokens": TOKENS},
        )

        def work() -> int:
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "out.jsonl"
                asked = run_batch(model, PROMPTS, output, system=SYSTEM, concurrency=SLOTS)
            return asked.stats.tokens[1]
    else:
        SAMPLING["max_tokens"] = TOKENS
        ask = through_xllamacpp()

        def work() -> int:
            with ThreadPoolExecutor(SLOTS) as threads:
                return sum(threads.map(ask, PROMPTS))

    while commands.get():
        started = time.perf_counter()
        made = work()
        results.put(made / (time.perf_counter() - started))


def _apart(work: Any, way: str) -> tuple[Callable[[], float], Callable[[], None]]:
    """Start a process that works whenever it is told to; return what tells it to, and ends it."""
    context = multiprocessing.get_context("spawn")
    commands, results = context.Queue(), context.Queue()
    process = context.Process(target=work, args=(way, commands, results), daemon=True)
    process.start()

    def once() -> float:
        commands.put(True)
        return results.get()

    def end() -> None:
        commands.put(None)
        process.join()

    return once, end


def engine() -> Row:
    sides = [_apart(_engine, way) for way in ("batch", "raw")]
    measured = turns(sides[0][0], sides[1][0], 3)
    for _, end in sides:
        end()
    work = f"SmolLM2, a batch of {len(PROMPTS)} prompts"
    return Row(work, *measured[:2], "tokens/s", measured[2], (">=", 0.95), "raw xllamacpp")


def _cores(way: str, commands: Any, results: Any) -> None:
    """Answer the prompts with two cores whenever it is told to; tell tokens a second.

    The time is that from the first question to the last answer: that of Ray's start is none of it.
    """
    model = ChatGGUF(
        model_path="smollm2",
        n_ctx=512,
        n_parallel=SLOTS,
        n_batch=128,
        **{**SAMPLING, "max_tokens": TOKENS},
    )
    options: dict[str, Any] = {"concurrency": SLOTS}
    if way == "ray":
        scale = Scale(least=CORES, most=CORES, cpus=1, ongoing=SLOTS)
        options = {"engine": "ray", "scale": scale}
    else:
        model = model.model_copy(update={"n_threads": CORES})
    while commands.get():
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "out.jsonl"
            asked = run_batch(model, PROMPTS, output, system=SYSTEM, **options)
            told = [json.loads(each) for each in output.read_text().splitlines()]
        ended = max(each["started"] + each["seconds"] for each in told)
        results.put(asked.stats.tokens[1] / (ended - min(each["started"] for each in told)))


def on_ray() -> Row:
    sides = [_apart(_cores, way) for way in ("ray", "local")]
    measured = turns(sides[0][0], sides[1][0], 3)
    for _, end in sides:
        end()
    work = f"SmolLM2, a batch of {len(PROMPTS)} prompts, {CORES} replicas on Ray with a core each"
    return Row(work, *measured[:2], "tokens/s", measured[2], (">=", 0.8), "here, with both cores")


def rows() -> list[Row]:
    return [*speed(), endpoint(), *memory(), engine(), on_ray()]
