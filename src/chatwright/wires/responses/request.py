"""Requests of OpenAI's Responses, and of Open Responses, as a server reads them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field

from chatwright.wires.openai.choosing import chosen
from chatwright.wires.openai.request import Function
from chatwright.wires.prompt import Body, Prompt, refuse, validated
from chatwright.wires.responses.compact import SUMMARIZE
from chatwright.wires.responses.history import History

__all__ = ["Compact", "Responses", "items_of"]


def items_of(given: Any) -> list[dict[str, Any]]:
    """Return a request's `input` as items."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [*(given or ())]


class _Conversation(Body):
    model: str
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None

    def history(self, before: Sequence[Mapping[str, Any]]) -> History:
        """Return what was said: before, and by the request itself.

        Raises:
            InvalidRequestError: An item can't be read, or there is none.
        """
        items = [*before, *items_of(self.input)]
        if not items:
            raise refuse("input", "Field required")
        history = History()
        for n, each in enumerate(items, -len(before)):
            history.add(each, f"input.{n}")
        return history

    def system(self) -> list[SystemMessage]:
        """Return the instructions, which are this request's alone."""
        return [SystemMessage(self.instructions)] if self.instructions else []


class Compact(_Conversation):
    """A request to compact a conversation.

    https://www.openresponses.org/specification, WebSocket Compaction
    """

    stream: Literal[False] | None = None

    def prompt(self, before: Sequence[Mapping[str, Any]] = ()) -> Prompt:
        """Return what is asked of a chat model: a summary.

        Args:
            before: The items that the request goes on from.

        Raises:
            InvalidRequestError: An item can't be read, or there is none.
        """
        history = self.history(before)
        said = history.messages()
        return Prompt(
            messages=[*self.system(), *said, HumanMessage(SUMMARIZE)],
            ignored=[*self.unknown(), *history.ignored],
        )


class Format(BaseModel):
    """The form of the answer."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None
    description: str | None = None

    def asked(self) -> dict[str, Any] | None:
        """Return it as chat completions have it; None for text.

        Raises:
            InvalidRequestError: There is no schema where there has to be one.
        """
        if self.type != "json_schema":
            return None if self.type == "text" else {"type": self.type}
        if self.schema_ is None or not self.name:
            raise refuse("text.format", "a json_schema has to have a name and a schema")
        told: dict[str, Any] = {"name": self.name, "schema": self.schema_}
        told |= {"strict": self.strict} if self.strict is not None else {}
        told |= {"description": self.description} if self.description else {}
        return {"type": "json_schema", "json_schema": told}


class TextOptions(BaseModel):
    """What is wanted of the answer's text."""

    model_config = ConfigDict(extra="allow")

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(BaseModel):
    """What is wanted of the model's reasoning."""

    model_config = ConfigDict(extra="allow")

    effort: str | None = None
    summary: str | None = None


class Tool(BaseModel):
    """A tool of any kind."""

    model_config = ConfigDict(extra="allow")

    type: str


class Responses(_Conversation):
    """A request for a response.

    https://platform.openai.com/docs/api-reference/responses/create
    """

    stream: bool | None = None
    store: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(default=None, ge=1)
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1)
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    safety_identifier: str | None = None

    parameters: ClassVar[Mapping[str, str]] = {
        **{
            name: name for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty")
        },
        "max_output_tokens": "max_tokens",
    }
    refused: ClassVar[Mapping[str, Any]] = {
        "background": (False,),
        "conversation": (),
        "generate": (True,),
        "prompt": (),
        "top_logprobs": (0,),
    }
    silent: ClassVar[frozenset[str]] = frozenset(
        {
            *("background", "client_metadata", "generate", "prompt_cache_options"),
            *("prompt_cache_retention", "service_tier", "stream_options", "top_logprobs", "user"),
        }
    )

    def prompt(self, before: Sequence[Mapping[str, Any]] = ()) -> Prompt:
        """Return what is asked of a chat model.

        Args:
            before: The items that the request goes on from.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        history = self.history(before)
        tools, others = self._functions()
        choice, tools = chosen(self.tool_choice, tools)
        sampling = self.sampling()
        if tools and self.parallel_tool_calls is not None:
            sampling["parallel_tool_calls"] = self.parallel_tool_calls
        if self.reasoning and self.reasoning.effort:
            sampling["reasoning_effort"] = self.reasoning.effort
        if self.text and self.text.verbosity:
            sampling["verbosity"] = self.text.verbosity
        wanted = self.text.format if self.text else None
        return Prompt(
            messages=[*self.system(), *history.messages()],
            tools=tools,
            tool_choice=choice,
            response_format=wanted.asked() if wanted else None,
            parameters=sampling,
            ignored=[*self.unknown(), *others, *history.ignored, *self._not_included()],
        )

    def _functions(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the function tools as chat completions have them, and the names of the others."""
        tools, others = [], []
        for n, each in enumerate(self.tools or ()):
            if each.type == "function":
                tools.append(validated(Function, each.model_dump(), f"tools.{n}").tool())
            else:
                others.append(f"tools.{n} ({each.type})")
        return tools, others

    def _not_included(self) -> list[str]:
        wanted = self.include or ()
        if _LOGPROBS in wanted:
            raise refuse("include", f"{_LOGPROBS}: this server can't honour it; leave it out")
        # Reasoning is told in the open, and is taken so where it comes back.
        return [f"include ({each})" for each in wanted if each != "reasoning.encrypted_content"]


_LOGPROBS = "message.output_text.logprobs"
