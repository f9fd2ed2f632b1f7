"""Checked by mypy and pyright, never run."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, assert_type

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from chatwright import (
    ChatCommand,
    ChatEndpoint,
    ChatFunction,
    ChatGGUF,
    ChatModel,
    CustomChatModelAdvanced,
    Delta,
    Price,
    Request,
    chat_model,
    load,
)


@chat_model
def generator(messages: list[BaseMessage], *, temperature: float = 0.0) -> Iterator[str]:
    yield messages[-1].text


@chat_model(model_name="mine", price=Price(1, 2))
def returning(messages: list[BaseMessage]) -> str:
    return messages[-1].text


@chat_model()
async def coroutine(messages: list[BaseMessage]) -> str:
    return messages[-1].text


@chat_model
async def async_generator(messages: list[BaseMessage]) -> AsyncIterator[Delta]:
    yield messages[-1].text


class Subclass(ChatModel):
    n: int

    def reply(self, request: Request) -> Iterator[Delta]:
        yield request.messages[-1].text[: self.n]


class AsyncSubclass(ChatModel):
    async def reply(self, request: Request) -> str:
        return request.messages[-1].text


def look(city: str) -> str:
    return city


assert_type(generator.bind_tools([look], tool_choice="any").invoke("x"), AIMessage)
assert_type(generator.bind(temperature=1).explain("x"), dict[str, Any])
assert_type(generator.with_structured_output(dict).invoke("x"), Any)
assert_type(generator, ChatFunction)
assert_type(returning, ChatFunction)
assert_type(coroutine, ChatFunction)
assert_type(async_generator, ChatFunction)
assert_type(generator.invoke("x"), AIMessage)
assert_type(load("smollm2"), ChatModel)
models: list[BaseChatModel] = [
    generator,
    Subclass(n=3),
    AsyncSubclass(),
    CustomChatModelAdvanced(n=3, model_name="x"),
    ChatGGUF(model_path="smollm2", temperature=0.0),
    ChatGGUF("smollm2"),
    ChatGGUF(Path("weights.gguf"), n_ctx=512),
    ChatGGUF(model="smollm2"),
    ChatEndpoint("http://localhost:8000/v1", model="mine"),
    ChatEndpoint(base_url="http://localhost:8000/v1", model="mine", timeout=3),
    ChatCommand(["cat"]),
    ChatCommand(["llm", ["--temp", "{temperature}"]], model="tiny"),
]
