"""What tools and schemas cost, in streams, in binding and on the engine."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from benchmarks.harness import Row, timed, turns
from chatwright import ChatGGUF, ChatModel, Request

N = 2000
ROUNDS = 15
SYSTEM = "You are a helpful assistant."


def look(city: str) -> str:
    """Look at the weather in a city."""
    return city


TOOLS = [StructuredTool.from_function(look, name=f"look_{n}") for n in range(10)]


class Words(ChatModel):
    """Yields words, as LLMs do."""

    def reply(self, request: Request) -> Iterator[str]:
        return itertools.repeat("word ", N)


class Calls(ChatModel):
    """Writes one call with long arguments."""

    size: int

    def reply(self, request: Request) -> Iterator[str]:
        yield '<tool_call>{"name": "look_0", "arguments": {"city": "'
        yield from itertools.repeat("some words and more ", self.size // 20)
        yield '"}}</tool_call>'


def stream(model: Any, per: int) -> Callable[[], float]:
    return timed(lambda: [*model.stream("hello")], per)


def bind() -> Callable[[], float]:
    model = Words()
    return timed(lambda: [model.bind_tools(TOOLS) for _ in range(1000)], 1000)


def bind_anew() -> Callable[[], float]:
    model = Words()
    return timed(
        lambda: [model.bind(tools=[convert_to_openai_tool(t) for t in TOOLS]) for _ in range(100)],
        100,
    )


class Part(BaseModel):
    kind: Literal["new", "used"]
    size: int = Field(ge=10, le=99)


class Thing(BaseModel):
    """A thing for sale."""

    name: str = Field(max_length=12)
    price: float = Field(ge=1, le=9)
    parts: list[Part] = Field(min_length=1, max_length=2)
    state: Literal["open", "sold"]
    note: str | None = Field(default=None, max_length=12)


def conforming(of: int = 100) -> Row:
    model = ChatGGUF(model_path="smollm2", n_ctx=1024, n_parallel=4, max_tokens=200)
    structured = model.with_structured_output(Thing, include_raw=True)
    prompts = [[("system", SYSTEM), ("human", f"Make up thing number {n}.")] for n in range(of)]
    answers = structured.batch(prompts, {"max_concurrency": 4})
    good = sum(isinstance(each["parsed"], Thing) for each in answers)
    work = "SmolLM2's answers that conform to a nested schema"
    return Row(work, good, of, "answers", good / of, (">=", 1.0), "asked for")


def grammar() -> Row:
    model = ChatGGUF(model_path="smollm2", n_ctx=1024, n_parallel=1, max_tokens=64, temperature=0.0)
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "text", "schema": schema}}
    prompt = [("system", SYSTEM), ("human", f"Repeat this: {json.dumps(['word'] * 50)}")]

    def speed(**kwargs: Any) -> Callable[[], float]:
        def once() -> float:
            timings = model.invoke(prompt, **kwargs).response_metadata["timings"]
            return timings["tokens_per_second"]

        return once

    mine, theirs, ratio = turns(speed(response_format=wanted), speed(), 7)
    work = "SmolLM2 with a grammar, one at a time (reported)"
    return Row(work, mine, theirs, "tokens/s", ratio, (">=", 0.0), "without")


def rows() -> list[Row]:
    plain, taught = Words(), Words().bind_tools(TOOLS)
    mine, theirs, ratio = turns(stream(taught, N), stream(plain, N), ROUNDS)
    filtered = Row(
        "text through the filter of prompted tools, per chunk",
        *(mine, theirs, "µs", ratio, ("<=", 1.5), "the plain stream"),
    )
    long, short = (Calls(size=n * 100_000).bind_tools(TOOLS) for n in (2, 1))
    mine, theirs, ratio = turns(stream(long, 1000), stream(short, 1000), 7)
    linear = Row(
        "200 kB of tool arguments, streamed",
        *(mine, theirs, "ms", ratio, ("<=", 2.2), "100 kB"),
    )
    mine, theirs, _ = turns(bind(), bind_anew(), ROUNDS)
    binding = Row(
        f"binding the same ten tools again (converting them: {theirs:.0f} µs)",
        *(mine, 20.0, "µs", mine / 20, ("<=", 1.0), "the bound"),
    )
    return [filtered, linear, binding, grammar(), conforming()]
