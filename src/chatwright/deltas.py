"""What a source yields: plain values, free of ids and clocks.

A source may yield a bare `str` wherever it could yield a `Text`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Block", "Delta", "Finish", "Reasoning", "Refusal", "Text", "ToolCallDelta", "Usage"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's reasoning, which is not part of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A piece of the words in which the model refuses to answer; never part of the text.

    A refusal without any words is `Refusal("")`.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A whole content block that is neither text, reasoning, a refusal nor a tool call.

    Args:
        block: An image, a citation, a server tool's result, …, as LangChain's v1 content has it
            (`langchain_core.messages.content`); whatever has no form there is kept as it is.
    """

    block: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call.

    Args:
        index: Which call of the answer this is a piece of, counted from 0.
        id: The call's id; on one piece, usually the first. Where none comes, one is made.
        name: The tool's name; on one piece, usually the first.
        args: The next piece of the call's arguments, a JSON object in text form; or all of them as
            a dict.
        error: What makes the call one that can't be read, such as that it was cut. It is never a
            valid one then, whatever its arguments look like.
        extras: What the server put beside the call for safe-keeping, such as the signature of a
            thought, by the wire's names. It stands in the message's
            `additional_kwargs["tool_call_extras"]` by the call's id, and goes back as it came.
    """

    index: int = 0
    id: str | None = None
    name: str | None = None
    args: str | Mapping[str, Any] = ""
    error: str = ""
    extras: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens spent so far. A later `Usage` replaces what it gives anew.

    Args:
        input_tokens: Tokens of the prompt, cached ones included.
        output_tokens: Tokens of the answer, reasoning included.
        input_token_details: Parts of `input_tokens` by LangChain's names, such as `cache_read`.
        output_token_details: Parts of `output_tokens`, such as `reasoning`.
        estimated: Whether the counts are an estimate; the answer then says so.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: Mapping[str, int] = field(default_factory=dict)
    output_token_details: Mapping[str, int] = field(default_factory=dict)
    estimated: bool = False

    def over(self, earlier: "Usage | None") -> "Usage":
        """Return what is known after this one has come: what it gives, else what came earlier."""
        if earlier is None:
            return self
        return Usage(
            earlier.input_tokens if self.input_tokens is None else self.input_tokens,
            earlier.output_tokens if self.output_tokens is None else self.output_tokens,
            {**earlier.input_token_details, **self.input_token_details},
            {**earlier.output_token_details, **self.output_token_details},
            self.estimated,
        )


@dataclass(frozen=True, slots=True)
class Finish:
    """How the answer ended, and what else there is to say of it.

    Args:
        reason: The finish reason, by OpenAI's names (`stop`, `length`, `tool_calls`,
            `content_filter`) or the LLM's own; `normalized_finish_reason` then has OpenAI's.
        metadata: Goes into the message's `response_metadata` as it is. A `model_name` there is the
            model that answered, for usage and prices too.
        additional_kwargs: Goes into the message's `additional_kwargs` as it is.
    """

    reason: str = "stop"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    additional_kwargs: Mapping[str, Any] = field(default_factory=dict)


Delta: TypeAlias = str | Text | Reasoning | Refusal | Block | ToolCallDelta | Usage | Finish
