"""The packages that are checked, and how each of their models is pointed at a server."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatwright import ChatRunnable, chat_model
from chatwright.checks.targets.constructor import NAMES, maker
from chatwright.testing import Received, Refuse, Upstream

__all__ = ["KEY", "PACKAGES", "RESPONSES", "Package", "model", "wrapped"]

KEY = "sk-conformance"
RESPONSES = "ChatOpenAI-responses"
"""What scripts call ChatOpenAI with `use_responses_api=True`."""


@dataclass(frozen=True)
class Package:
    """A chat model of a published package.

    Args:
        name: The class.
        module: Where it is.
        distribution: The package that it is of.
        address: What its constructor calls the address of the server.
        path: What follows the address.
        key: What its constructor calls the key; empty where it takes none.
        given: What its constructor needs besides.
    """

    name: str
    module: str
    distribution: str
    address: str = "base_url"
    path: str = "/v1"
    key: str = "api_key"
    given: Mapping[str, Any] = field(default_factory=dict)


PACKAGES: Mapping[str, Package] = {
    each.name: each
    for each in (
        Package("ChatOpenAI", "langchain_openai", "langchain-openai"),
        Package("ChatOllama", "langchain_ollama", "langchain-ollama", path="", key=""),
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
        Package("ChatXAI", "langchain_xai", "langchain-xai", path="/xai/v1"),
        Package(
            "ChatFireworks", "langchain_fireworks", "langchain-fireworks", path="/fireworks/v1"
        ),
        Package("ChatTogether", "langchain_together", "langchain-together"),
        Package("ChatNVIDIA", "langchain_nvidia_ai_endpoints", "langchain-nvidia-ai-endpoints"),
        Package("ChatOpenRouter", "langchain_openrouter", "langchain-openrouter"),
        Package("ChatCerebras", "langchain_cerebras", "langchain-cerebras"),
        Package("ChatSambaNova", "langchain_sambanova", "langchain-sambanova"),
        Package("ChatQwen", "langchain_qwq", "langchain-qwq"),
        Package("ChatClovaX", "langchain_naver", "langchain-naver"),
        Package("ChatMoonshot", "langchain_moonshot", "langchain-moonshot"),
        Package("ChatUpstage", "langchain_upstage", "langchain-upstage"),
        Package("ChatMetaModel", "langchain_meta", "langchain-meta"),
        Package("ChatAmazonNova", "langchain_amazon_nova", "langchain-amazon-nova"),
        Package("ChatBaseten", "langchain_baseten", "langchain-baseten"),
        Package("ChatSiliconFlow", "langchain_siliconflow", "langchain-siliconflow"),
        Package("ChatLlama", "langchain_llama_cpp", "langchain-llama-cpp", key=""),
    )
}
_BASES: Mapping[str, Package] = {
    RESPONSES: Package(
        "ChatOpenAI", "langchain_openai", "langchain-openai", given={"use_responses_api": True}
    )
}
INSIDE = frozenset(
    {"base_url", "api_key", "model", "headers", "timeout", "max_retries"}
    | {"temperature", "max_tokens", "top_p", "seed"}
)
"""What is the inner model's, where it is wrapped: its server, and what is sent to it."""


def model(name: str, upstream: Upstream | None = None, **fields: Any) -> Any:
    """Return a model that speaks to a server.

    Args:
        name: One of `PACKAGES`, or `RESPONSES`.
        upstream: The server; None where nothing is asked.
        **fields: Further arguments of the constructor.
    """
    package = {**PACKAGES, **_BASES}[name]
    url = upstream.url if upstream else "http://127.0.0.1:9"
    if upstream:
        upstream.script = functools.partial(_answered, upstream.script)
    usual = {"model": "checked-model", **({package.key: KEY} if package.key else {})}
    given = {**usual, package.address: url + package.path, **package.given, **fields}
    return getattr(import_module(package.module), package.name)(**given)


def _answered(script: Any, received: Received) -> Any:
    """Answer by a script; clients that ask for the models first are told of one."""
    if received.asked is None and received.path.endswith("/models"):
        known = {"object": "list", "data": [{"id": "checked-model", "object": "model"}]}
        return [Refuse(200, body=json.dumps(known).encode())]
    return script(received) if callable(script) else script


def wrapped(name: str) -> Callable[..., BaseChatModel]:
    """Return a function that makes a model and puts `chat_model` around it.

    The wrapper gets the fields that it has, the inner one how its server is reached, and the rest.

    Args:
        name: One of `PACKAGES`.
    """
    package = PACKAGES[name]
    inner = maker(getattr(import_module(package.module), name), package.given)
    outer = maker(ChatRunnable).takes or frozenset()
    own = (
        outer - INSIDE - {each for thing in INSIDE for each in NAMES.get(thing, ())} - {"runnable"}
    )

    def make(**fields: Any) -> BaseChatModel:
        around = {each: value for each, value in fields.items() if each in own}
        return chat_model(
            inner(**{each: value for each, value in fields.items() if each not in own}), **around
        )

    named = sorted({*own, *(inner.takes or ())})
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in named]
    )
    make.__name__ = f"chat_model({name})"
    make.__module__ = "chatwright"
    return make
