"""SmolLM2 through `ChatGGUF`, against raw xllamacpp on the same prompts.

Each side has a process of its own: two engines in one process slow each other down, idle or not.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import xllamacpp

from benchmarks.harness import Row, turns
from chatwright import ChatGGUF
from chatwright.wrap.gguf.weights import find

TOKENS = 64
ROUNDS = 9
PROMPTS = [f"Tell me a story about the number {number}." for number in range(8)]
SYSTEM = "You are a helpful assistant."
SAMPLING = {"temperature": 0.0, "repeat_penalty": 1.0, "seed": 7, "max_tokens": TOKENS}
BATCH = 128


def through_chatgguf() -> Callable[[str], int]:
    model = ChatGGUF(model_path="smollm2", n_ctx=512, n_parallel=8, n_batch=BATCH, **SAMPLING)

    def ask(prompt: str) -> int:
        *_, last = model.stream([("system", SYSTEM), ("human", prompt)])
        return last.usage_metadata["output_tokens"]

    return ask


def through_xllamacpp() -> Callable[[str], int]:
    params = xllamacpp.CommonParams()
    params.model.path = str(find("smollm2"))
    params.n_ctx, params.n_parallel, params.n_batch, params.verbosity = 512 * 8, 8, BATCH, 0
    server = xllamacpp.Server(params)

    def ask(prompt: str) -> int:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
        body = {"messages": messages, "stream": True, **SAMPLING}
        events: list[dict[str, Any]] = []
        body["stream_options"] = {"include_usage": True}
        server.handle_chat_completions(body, lambda event: events.append(event) and False)
        return events[-1]["usage"]["completion_tokens"]

    return ask


def one_by_one(ask: Callable[[str], int]) -> Callable[[], float]:
    def once() -> float:
        started = time.perf_counter()
        made = sum(ask(prompt) for prompt in PROMPTS)
        return made / (time.perf_counter() - started)

    return once


def at_once(ask: Callable[[str], int]) -> Callable[[], float]:
    def once() -> float:
        made: list[int] = []
        threads = [
            threading.Thread(target=lambda p=prompt: made.append(ask(p))) for prompt in PROMPTS
        ]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(made) / (time.perf_counter() - started)

    return once


WAYS = {"one by one": one_by_one, "at once": at_once}


class Side:
    """One side, in a process of its own."""

    def __init__(self, make: Callable[[], Callable[[str], int]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=serve, args=(make, theirs), daemon=True).start()

    def asked(self, way: str) -> Callable[[], float]:
        def once() -> float:
            self._pipe.send(way)
            return self._pipe.recv()

        return once


def serve(make: Callable[[], Callable[[str], int]], pipe: Any) -> None:
    ask = make()
    while True:
        pipe.send(WAYS[pipe.recv()](ask)())


def rows() -> list[Row]:
    ours, raw = Side(through_chatgguf), Side(through_xllamacpp)
    single = turns(ours.asked("one by one"), raw.asked("one by one"), ROUNDS)
    eight = turns(ours.asked("at once"), raw.asked("at once"), ROUNDS)
    unit, peer = "tokens/s", "raw xllamacpp"
    batched = eight[0] / single[0]
    return [
        Row("SmolLM2 through `ChatGGUF`, one at a time", *single[:2], unit, single[2],
            (">=", 0.97), peer),
        Row("the same, 8 at once", *eight[:2], unit, eight[2], (">=", 0.97), peer),
        Row("8 at once against one at a time", eight[0], single[0], unit, batched,
            (">=", 1.2), "one at a time"),
    ]  # fmt: skip
