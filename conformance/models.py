"""The packages that are checked, and how each of their models is pointed at a server."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from langchain_core.language_models import BaseChatModel, fake_chat_models
from langchain_core.messages import AIMessage

from chatwright.testing import Upstream

__all__ = ["FAKES", "KEY", "PACKAGES", "Package", "model"]

KEY = "sk-conformance"
_SAID = "red, green, blue"
_CALLS = 500

FAKES: Mapping[str, BaseChatModel] = {
    "FakeListChatModel": fake_chat_models.FakeListChatModel(responses=[_SAID] * _CALLS),
    "GenericFakeChatModel": fake_chat_models.GenericFakeChatModel(messages=itertools.repeat(_SAID)),
    "FakeMessagesListChatModel": fake_chat_models.FakeMessagesListChatModel(
        responses=[AIMessage(_SAID) for _ in range(_CALLS)]
    ),
}
"""What langchain-core has for tests: they speak to no server."""


@dataclass(frozen=True)
class Package:
    """A chat model of a published package.

    Args:
        name: The class.
        module: Where it is.
        distribution: The package that it is of.
        address: What its constructor calls the address of the server.
        path: What follows the address.
        given: What its constructor needs besides.
    """

    name: str
    module: str
    distribution: str
    address: str = "base_url"
    path: str = "/v1"
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fake(self) -> bool:
        """Whether it speaks to no server."""
        return self.name in FAKES


def _core(name: str) -> Package:
    return Package(name, "langchain_core.language_models.fake_chat_models", "langchain-core")


PACKAGES: Mapping[str, Package] = {
    each.name: each
    for each in (
        Package("ChatOpenAI", "langchain_openai", "langchain-openai"),
        Package("ChatOllama", "langchain_ollama", "langchain-ollama", path=""),
        Package("ChatAnthropic", "langchain_anthropic", "langchain-anthropic", path=""),
        Package(
            name="ChatMistralAI",
            module="langchain_mistralai",
            distribution="langchain-mistralai",
            address="endpoint",
            path="/mistral/v1",
        ),
        Package("ChatGroq", "langchain_groq", "langchain-groq", path="/groq"),
        Package("ChatDeepSeek", "langchain_deepseek", "langchain-deepseek", "api_base"),
        Package(
            name="ChatLiteLLM",
            module="langchain_litellm",
            distribution="langchain-litellm",
            address="api_base",
            given={"model": "openai/checked-model"},
        ),
        Package(
            name="ChatAnyLLM",
            module="langchain_anyllm",
            distribution="langchain-anyllm",
            address="api_base",
            given={"provider": "openai"},
        ),
        *map(_core, FAKES),
    )
}


def model(name: str, upstream: Upstream | None = None, *, user: str = "", **fields: Any) -> Any:
    """Return a model that speaks to a server.

    Args:
        name: One of `PACKAGES`.
        upstream: The server; None for a fake, or where nothing is asked.
        user: What stands before the server's name in the address: `ada:secret@`.
        **fields: Further arguments of the constructor.
    """
    package = PACKAGES[name]
    if package.fake:
        return FAKES[name]
    url = upstream.url if upstream else "http://127.0.0.1:9"
    usual = {"model": "checked-model", **({} if name == "ChatOllama" else {"api_key": KEY})}
    address = url.replace("://", f"://{user}", 1) + package.path
    given = {**usual, package.address: address, **package.given, **fields}
    return getattr(import_module(package.module), name)(**given)
