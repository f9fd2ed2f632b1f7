"""The sources that the contract is tested on, and the ways of asking them."""

import asyncio
import functools
import json
import re
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    message_chunk_to_message,
)

from chatwright import (
    ChatCommand,
    ChatEndpoint,
    ChatGGUF,
    ChatModel,
    CustomChatModelAdvanced,
    Request,
    ToolCallDelta,
    Transcript,
    Usage,
    chat_model,
)
from chatwright.testing import Received, Upstream, prompted_answers
from chatwright.testing.prompted_answers import answered, example

ANSWER = ("The", " capi", "tal of", " France is", " Paris", ".")
TEXT = "".join(ANSWER)
PROMPT: list[BaseMessage] = [
    SystemMessage("You are a helpful assistant."),
    HumanMessage("What is the capital of France?"),
]


def tokens(prompt: Sequence[BaseMessage]) -> Usage:
    return Usage(input_tokens=sum(len(each.text.split()) for each in prompt))


@chat_model
def returns(messages):
    return "".join(pieces(messages))


@chat_model
def yields(messages):
    yield tokens(messages)
    yield from pieces(messages)
    yield Usage(output_tokens=len(ANSWER))


@chat_model
async def coroutine(messages):
    return "".join(pieces(messages))


@chat_model
async def async_generator(messages):
    yield tokens(messages)
    for piece in pieces(messages):
        yield piece
    yield Usage(output_tokens=len(ANSWER))


def pieces(messages: Sequence[BaseMessage]) -> Sequence[str]:
    system = messages[0].text if messages[0].type == "system" else ""
    if written := answered(system, messages[-1].text):
        return [*written]
    said = messages[-1].text
    return [*said] if "say:" in said else ANSWER


class Subclass(ChatModel):
    def reply(self, request: Request) -> Iterator[Any]:
        yield tokens(request.messages)
        yield from pieces(request.messages)
        yield Usage(output_tokens=len(ANSWER))


class AsyncSubclass(ChatModel):
    async def reply(self, request: Request) -> AsyncIterator[Any]:
        yield tokens(request.messages)
        for piece in pieces(request.messages):
            yield piece
        yield Usage(output_tokens=len(ANSWER))


@chat_model
def native(messages, tools=None, tool_choice=None, response_format=None):
    """Reads tools and formats itself, as an LLM behind an API does."""
    functions = [each["function"] for each in tools or ()]
    schema = response_format and (response_format.get("json_schema", {}).get("schema") or {})
    parameters = {each["name"]: each.get("parameters", {}) for each in functions}
    yield from natively(messages, parameters, tool_choice, schema)


def natively(messages, tools, tool_choice, schema):
    """Answer as an LLM behind an API does; `tools` are their arguments' schemas by name."""
    yield tokens(messages)
    question = messages[-1].text
    if schema is not None:
        keys = re.findall(r"'(\w+)'", question)
        yield json.dumps(example(schema, question) if schema else dict.fromkeys(keys, "x"))
    elif tools and messages[-1].type != "tool":
        named = tool_choice["function"]["name"] if isinstance(tool_choice, dict) else None
        name = named if named in tools else next(iter(tools))
        args = json.dumps(example(tools[name], question), ensure_ascii=False)
        yield ToolCallDelta(0, "call_1", name, args[:5])
        yield ToolCallDelta(0, args=args[5:])
    else:
        yield from pieces(messages)
    yield Usage(output_tokens=len(ANSWER))


def characters(text: str) -> list[int]:
    return [ord(each) for each in text]


@dataclass(frozen=True)
class Subject:
    """One source.

    `make(**fields)` gives a model that answers `prompt` with `text`.
    """

    name: str
    make: Callable[..., ChatModel]
    text: str = TEXT
    prompt: Sequence[BaseMessage] = tuple(PROMPT)
    streams: bool = True

    def __str__(self) -> str:
        return self.name


def function(model: Any, **defaults: Any) -> Callable[..., ChatModel]:
    """Make models of the same function with other fields, as the decorator's call does."""
    return lambda **fields: chat_model(model.function, **{**defaults, **fields})


COUNTED = {"custom_get_token_ids": characters}
ENGINE = {
    "model_path": "smollm2",
    "n_ctx": 1024,
    "n_parallel": 4,
    "n_threads": 1,  # the other core runs the other tests
}
"""Models with these share one engine."""
PLAIN = {"temperature": 0.0, "repeat_penalty": 1.0, "seed": 7, "max_tokens": 10}
SMOLLM2 = functools.partial(ChatGGUF, **{**ENGINE, **PLAIN})


@functools.cache
def loaded() -> ChatModel:
    """Hold the weights for the whole run: with the last model of them they would be freed."""
    return SMOLLM2()


def gguf(**fields: Any) -> ChatModel:
    loaded()
    return SMOLLM2(**fields)


# Servers. All of them are one, on loopback; the address says what it answers.


@functools.cache
def upstream() -> Upstream:
    return Upstream(lambda received: SCRIPTS[received.path.split("/")[1]](received)).start()


SCRIPTS: dict[str, Callable[[Received], Sequence[Any]]] = {}


def serving(script: Callable[[Received], Any], key: str | None = None) -> str:
    """Have the server answer by `script` at the address that is returned."""
    key = key or f"s{len(SCRIPTS)}"
    SCRIPTS[key] = script
    return f"{upstream().url}/{key}"


class Said(NamedTuple):
    """One message as the server got it."""

    type: str
    text: str


LANGCHAINS = {"user": "human", "developer": "system", "assistant": "ai"}


def spoken(received: Received) -> Iterator[Any]:
    """Answer a request of any wire as `native` does."""
    asked = received.asked
    if asked is None:  # the endpoint file's own way
        body = received.body
        messages = [Said(each["who"], each["says"]) for each in body["conversation"]]
        return natively(messages, {}, None, None)
    messages = [Said(LANGCHAINS.get(role, role), text) for role, text in asked.messages]
    return natively(messages, asked.tools, asked.tool_choice, asked.schema)


OWN_WAY = {
    "request": {
        "body": {"conversation": "${messages}", "heat": "${temperature}"},
        "message": {"who": "${role}", "says": "${text}"},
        "roles": {"user": "human", "assistant": "ai"},
    },
    "response": {
        "framing": "ndjson",
        "text": "text",
        "done": "done",
        "usage": {"input_tokens": "usage.in", "output_tokens": "usage.out"},
    },
}
WIRES: dict[str, tuple[str, Any]] = {
    "openai": ("/v1", "openai"),
    "ollama": ("", "ollama"),
    "anthropic": ("/v1", "anthropic"),
    "responses": ("/v1", "responses"),
    "own_way": ("/generate", OWN_WAY),
}


def endpoint_fields(wire: str) -> dict[str, Any]:
    path, how = WIRES[wire]
    return {"base_url": serving(spoken, "spoken") + path, "wire": how, "model_name": wire}


def endpoint(wire: str, **fields: Any) -> ChatModel:
    return ChatEndpoint(**{**endpoint_fields(wire), **fields})


MARKED = Transcript(
    **{
        role: f"\x1e{kind}\x1f{{text}}"
        for role, kind in (("system", "system"), ("user", "human"), ("assistant", "ai"))
    }
)


def command_fields() -> dict[str, Any]:
    paths = [HERE, str(Path(prompted_answers.__file__).parent)]
    imported = f"import sys; sys.path[:0] = {paths!r}; import program"
    return {
        "command": [sys.executable, "-I", "-S", "-c", imported, *ANSWER],
        "transcript": MARKED,
        "response": {"framing": "ndjson", "text": "text"},
        "model_name": "command",
        **COUNTED,
    }


def agent_fields() -> dict[str, Any]:
    *python, code = command_fields()["command"][: -len(ANSWER)]
    return {
        "command": [*python, code.replace("import program", "import agent"), *ANSWER],
        "protocol": "acp",
        "model_name": "agent",
        **COUNTED,
    }


def agent(**fields: Any) -> ChatModel:
    return ChatCommand(**{**agent_fields(), **fields})


def command(**fields: Any) -> ChatModel:
    return ChatCommand(**{**command_fields(), **fields})


HERE = str(Path(__file__).parent)

SUBJECTS = [
    Subject("returns", function(returns, **COUNTED), streams=False),
    Subject("yields", function(yields)),
    Subject("coroutine", function(coroutine, **COUNTED), streams=False),
    Subject("async_generator", function(async_generator)),
    Subject("native", function(native)),
    Subject("subclass", Subclass),
    Subject("async_subclass", AsyncSubclass),
    Subject(
        "echo", functools.partial(CustomChatModelAdvanced, n=9, model_name="echo"), "What is t"
    ),
    Subject("command", command),
    Subject("agent", agent),
    *(Subject(wire, functools.partial(endpoint, wire)) for wire in WIRES),
    Subject("gguf", gguf, "The capital of France is Paris."),
]

# Ways of asking. Each returns the whole message, so that all can be compared.


def total(chunks: Sequence[AIMessageChunk]) -> AIMessage:
    return message_chunk_to_message(chunks[0] + list(chunks[1:]))


async def by_invoke(model, prompt, config=None, /, **kwargs):
    return model.invoke(prompt, config, **kwargs)


async def by_ainvoke(model, prompt, config=None, /, **kwargs):
    return await model.ainvoke(prompt, config, **kwargs)


async def by_stream(model, prompt, config=None, /, **kwargs):
    return total(list(model.stream(prompt, config, **kwargs)))


async def by_astream(model, prompt, config=None, /, **kwargs):
    return total([each async for each in model.astream(prompt, config, **kwargs)])


async def by_events(model, prompt, config=None, /, *, version, **kwargs):
    events = [e async for e in model.astream_events(prompt, config, version=version, **kwargs)]
    *inside, output = [e["data"]["output"] for e in events if e["event"] == "on_chat_model_end"]
    ids = [e["run_id"] for e in events if e["event"] == "on_chat_model_start"]
    assert len(ids) == len(set(ids)) > len(inside)
    return output


async def by_v3(model, prompt, config=None, /, **kwargs):
    return model.stream_events(prompt, config, version="v3", **kwargs).output


async def by_av3(model, prompt, config=None, /, **kwargs):
    stream = await model.astream_events(prompt, config, version="v3", **kwargs)
    try:
        return await stream.output
    except asyncio.CancelledError:
        await stream.aclose()  # core's producer would go on otherwise
        raise
    finally:
        if not stream._producer_task.done():
            await stream._producer_task  # the end callback comes after the output


Mode = Callable[..., Awaitable[AIMessage]]
MODES: dict[str, Mode] = {
    "invoke": by_invoke,
    "ainvoke": by_ainvoke,
    "stream": by_stream,
    "astream": by_astream,
    "events_v1": functools.partial(by_events, version="v1"),
    "events_v2": functools.partial(by_events, version="v2"),
    "v3": by_v3,
    "async_v3": by_av3,
}


def new_id() -> uuid.UUID:
    return uuid.uuid4()
