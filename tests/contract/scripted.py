"""Every kind of source that Python code makes, answering with a script."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from chatwright import Capabilities, ChatModel, CustomChatModelAdvanced, Quirks, chat_model
from chatwright.testing import ScriptedModel
from contract.subjects import SMOLLM2, endpoint, loaded, serving

NATIVE = Capabilities(tools=True, tool_choice=True)


def returns(script: Sequence[str], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    def source(messages):
        return "".join(script)

    return source


def yields(script: Sequence[Any], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    def source(messages):
        yield from script

    return source


def coroutine(script: Sequence[str], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    async def source(messages):
        return "".join(script)

    return source


def async_generator(script: Sequence[Any], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    async def source(messages):
        for each in script:
            yield each

    return source


def subclass(script: Sequence[Any], **fields: Any) -> ChatModel:
    return ScriptedModel(script=script, **fields)


def async_subclass(script: Sequence[Any], **fields: Any) -> ChatModel:
    return ScriptedModel(script=script, runs_async=True, **fields)


class Parrot(CustomChatModelAdvanced):
    """The guide's echo, whose prompt is the script: what it is asked last is what it answers."""

    said: str

    def reply(self, request):
        said = [request.messages[-1].model_copy(update={"content": self.said})]
        yield from super().reply(type(request)(said))


def echo(script: Sequence[str], **fields: Any) -> ChatModel:
    return Parrot(said="".join(script), n=10**6, **{"model_name": "echo", **fields})


def served(wire: str, path: str, script: Sequence[Any], **fields: Any) -> ChatModel:
    return endpoint(wire, base_url=serving(lambda _: script) + path, **fields)


TEXT_SOURCES: dict[str, Callable[..., ChatModel]] = {
    each.__name__: each
    for each in (returns, yields, coroutine, async_generator, subclass, async_subclass, echo)
} | {"own_way": functools.partial(served, "own_way", "/generate")}


def gguf(script: Sequence[str], **fields: Any) -> ChatModel:
    """Make the real engine write the script, by a grammar that admits nothing else."""
    loaded()
    text = "".join(script).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    literal = {"grammar": f'root ::= "{text}"', "max_tokens": 200}
    return SMOLLM2(**{**literal, **fields})


def native_yields(script: Sequence[Any], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    def source(messages, tools, tool_choice):
        yield from script

    return source


def native_async(script: Sequence[Any], **fields: Any) -> ChatModel:
    @chat_model(**fields)
    async def source(messages, tools, tool_choice):
        for each in script:
            yield each

    return source


NATIVE_SOURCES: dict[str, Callable[..., ChatModel]] = {
    "native_yields": native_yields,
    "native_async": native_async,
    "native_subclass": functools.partial(subclass, can=NATIVE),
    "native_async_subclass": functools.partial(async_subclass, can=NATIVE),
} | {
    wire: functools.partial(served, wire, "/v1", quirks=Quirks(response_format="none"))
    for wire in ("openai", "anthropic", "responses")
}
