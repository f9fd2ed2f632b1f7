"""Requests of Anthropic's Messages, as a server reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field

from chatwright.wires.openai.choosing import chosen
from chatwright.wires.openai.request import Function
from chatwright.wires.prompt import Body, Prompt, answer, blocks, refuse, validated

__all__ = ["CountTokens", "Messages"]


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class CountTokens(Body):
    """A request for the count of a prompt's tokens.

    https://docs.anthropic.com/en/api/messages-count-tokens
    """

    model: str
    messages: list[Message] = Field(min_length=1)
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None

    silent: ClassVar[frozenset[str]] = frozenset(
        {"metadata", "output_config", "output_format", "service_tier"}
    )

    def conversation(self) -> list[BaseMessage]:
        """Return the messages.

        Raises:
            InvalidRequestError: One holds what can't be read.
        """
        system = blocks(self.system, "system")
        told = [told for n, each in enumerate(self.messages) for told in _told(each, n)]
        return [*([SystemMessage(system)] if system else []), *told]

    def functions(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the tools in OpenAI's form, and the names of those that the server would run.

        Raises:
            InvalidRequestError: One has no name.
        """
        tools, others = [], []
        for n, each in enumerate(self.tools or ()):
            if "input_schema" not in each:
                if each.get("type") in {None, "custom"}:
                    raise refuse(f"tools.{n}.input_schema", "Field required")
                others.append(f"tools.{n} ({each['type']})")
                continue
            told = {k: v for k, v in each.items() if k in {"name", "description", "strict"}}
            function = {**told, "parameters": each["input_schema"]}
            tools.append(validated(Function, function, f"tools.{n}").tool())
        return tools, others


_THINKING = frozenset({"adaptive", "enabled"})
"""By which types of `thinking` a request asks for it: without it, an answer has none."""


class Messages(CountTokens):
    """A request for a message.

    https://docs.anthropic.com/en/api/messages
    """

    max_tokens: int = Field(ge=1)
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    thinking: dict[str, Any] | None = None

    parameters: ClassVar[Mapping[str, str]] = {
        name: name for name in ("max_tokens", "temperature", "top_p", "top_k")
    }

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        tools, others = self.functions()
        sampling = self.sampling()
        if (effort := self._config().get("effort")) is not None:
            sampling["reasoning_effort"] = effort
        choice = self.tool_choice or {}
        wanted, tools = chosen(_choice(choice), tools)
        if tools and choice.get("disable_parallel_tool_use") is not None:
            sampling["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
        return Prompt(
            messages=self.conversation(),
            tools=tools,
            tool_choice=wanted,
            response_format=self._format(),
            stop=[each for each in self.stop_sequences or () if each],
            parameters=sampling,
            hides_reasoning=(self.thinking or {}).get("type") not in _THINKING,
            ignored=[*self.unknown(), *others],
        )

    def _config(self) -> Mapping[str, Any]:
        config = (self.model_extra or {}).get("output_config")
        return config if isinstance(config, dict) else {}

    def _format(self) -> dict[str, Any] | None:
        """Return the form that is wanted: in `output_config`, before that in `output_format`."""
        wanted = self._config().get("format") or (self.model_extra or {}).get("output_format")
        if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
            return None
        named = {"name": "answer", "schema": wanted.get("schema") or {}, "strict": True}
        return {"type": "json_schema", "json_schema": named}


def _choice(choice: Mapping[str, Any]) -> Any:
    match choice.get("type"):
        case None:
            return None
        case "any":
            return "required"
        case "tool":
            return {"type": "function", "function": {"name": str(choice.get("name"))}}
        case kind:
            return kind


_OWN = frozenset({"tool_use", "thinking", "redacted_thinking", "tool_result"})


def _told(message: Message, n: int) -> Iterator[BaseMessage]:
    place = f"messages.{n}.content"
    if message.role == "system":
        yield SystemMessage(blocks(message.content, place))
        return
    parts = message.content if isinstance(message.content, list) else []
    rest: Any = [each for each in parts if each.get("type") not in _OWN] if parts else None
    content = blocks(message.content if rest is None else rest, place)
    if message.role == "assistant":
        calls = [
            (str(each.get("id") or ""), str(each.get("name") or ""), each.get("input") or {})
            for each in parts
            if each.get("type") == "tool_use"
        ]
        thoughts = [str(each.get("thinking", "")) for each in parts if "thinking" in each]
        yield answer(content, calls, "".join(thoughts))
        return
    for k, each in enumerate(parts):
        if each.get("type") == "tool_result":
            yield ToolMessage(
                blocks(each.get("content"), f"{place}.{k}.content"),
                tool_call_id=str(each.get("tool_use_id") or ""),
                status="error" if each.get("is_error") else "success",
            )
    if content or not parts:
        yield HumanMessage(content)
