"""Requests of OpenAI's chat completions and completions, as a server reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel, ConfigDict, Field

from chatwright.wires.openai.choosing import chosen
from chatwright.wires.openai.names import REASONINGS
from chatwright.wires.prompt import Body, Prompt, answer, blocks, given, refuse, validated

__all__ = ["ChatCompletion", "Completion", "Function"]

MAX_STOPS = 16


class Function(BaseModel):
    """A function that the model may call.

    Args:
        name: Its name.
        description: What it is for.
        parameters: The JSON schema of its arguments.
        strict: Whether arguments have to conform to it.
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> dict[str, Any]:
        """Return it as a tool in OpenAI's form."""
        fields = given(description=self.description, strict=self.strict)
        parameters = self.parameters or {"type": "object", "properties": {}}
        made = {"name": self.name, **fields, "parameters": parameters}
        return {"type": "function", "function": made}


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Any] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None


class StreamOptions(BaseModel):
    """What a stream holds."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class ResponseFormat(BaseModel):
    """The form of the answer."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"]


class _Sampled(Body):
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    n: int | None = Field(default=None, ge=1, le=8)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)

    parameters: ClassVar[Mapping[str, str]] = {
        name: name
        for name in (
            "temperature",
            "top_p",
            "seed",
            "max_tokens",
            "frequency_penalty",
            "presence_penalty",
        )
    }
    silent: ClassVar[frozenset[str]] = frozenset(
        {"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"}
    )

    def stops(self) -> list[str]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > MAX_STOPS:
            raise refuse("stop", f"there can be {MAX_STOPS} stop sequences")
        return [each for each in stops if each]

    def tells_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatCompletion(_Sampled):
    """A request for a chat completion.

    https://platform.openai.com/docs/api-reference/chat/create
    """

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    parameters: ClassVar[Mapping[str, str]] = {
        **_Sampled.parameters,
        "max_completion_tokens": "max_tokens",
        "reasoning_effort": "reasoning_effort",
        "verbosity": "verbosity",
    }
    refused: ClassVar[Mapping[str, Any]] = {
        "logprobs": (False,),
        "top_logprobs": (0,),
        "audio": (),
        "modalities": (["text"],),
        "functions": ([],),
        "web_search_options": (),
    }

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        ignored = self.unknown()
        tools = []
        for n, tool in enumerate(self.tools or ()):
            if tool.get("type", "function") != "function":
                ignored.append(f"tools.{n} ({tool.get('type')})")
                continue
            tools.append(validated(Function, tool.get("function"), f"tools.{n}.function").tool())
        choice, tools = chosen(self.tool_choice, tools)
        sampling = self.sampling()
        if tools and self.parallel_tool_calls is not None:
            sampling["parallel_tool_calls"] = self.parallel_tool_calls
        wanted = self.response_format.model_dump() if self.response_format else None
        return Prompt(
            messages=[*_messages(self.messages)],
            tools=tools,
            tool_choice=choice,
            response_format=None if wanted in (None, {"type": "text"}) else wanted,
            stop=self.stops(),
            parameters=sampling,
            count=self.n or 1,
            tells_usage=self.tells_usage(),
            ignored=ignored,
        )


def _messages(messages: list[Message]) -> Iterator[BaseMessage]:
    for n, each in enumerate(messages):
        place = f"messages.{n}"
        content = blocks(each.content, f"{place}.content")
        name = {"name": each.name} if each.name else {}
        match each.role:
            case "system":
                yield SystemMessage(content, **name)
            case "developer":
                yield SystemMessage(
                    content, additional_kwargs={"__openai_role__": "developer"}, **name
                )
            case "user":
                yield HumanMessage(content, **name)
            case "assistant":
                yield _answer(each, content, place)
            case "tool" | "function":
                yield ToolMessage(content, tool_call_id=each.tool_call_id or "", **name)


def _answer(message: Message, content: Any, place: str) -> BaseMessage:
    calls = []
    for n, call in enumerate(message.tool_calls or ()):
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise refuse(f"{place}.tool_calls.{n}", "it has to have a function with a name")
        calls.append((str(call.get("id") or ""), function["name"], function.get("arguments") or ""))
    extra = message.model_extra or {}
    reasoning = next((extra[name] for name in REASONINGS if isinstance(extra.get(name), str)), "")
    return answer(content or message.refusal or "", calls, reasoning)


_MOST_TEXTS = 32
"""How many prompts a request for completions may hold; LangChain's client sends 20."""


class Completion(_Sampled):
    """A request for a completion of a text, which becomes a user's message.

    https://platform.openai.com/docs/api-reference/completions/create
    """

    prompt_text: str | list[str] = Field(alias="prompt")

    refused: ClassVar[Mapping[str, Any]] = {
        "logprobs": (0,),
        "echo": (False,),
        "suffix": ("",),
        "best_of": (1,),
    }

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        texts = [self.prompt_text] if isinstance(self.prompt_text, str) else self.prompt_text
        if not 0 < len(texts) <= _MOST_TEXTS:
            raise refuse("prompt", f"one text, or up to {_MOST_TEXTS}")
        first, *others = [[HumanMessage(each)] for each in texts]
        return Prompt(
            messages=first,
            others=others,
            stop=self.stops(),
            parameters=self.sampling(),
            count=self.n or 1,
            tells_usage=self.tells_usage(),
            ignored=self.unknown(),
        )
