"""What a model is asked: the same frozen value on every path."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from chatwright.errors import ParameterError

__all__ = ["Request", "as_stops", "schema_of", "warn_of_chains"]

_OF_CHAINS = frozenset({"\nObservation", "\nSQLResult:", "\nIntermediate answer:"})
"""Where langchain-classic's ReAct, SQL and self-ask chains stop the LLM."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as a source sees it.

    The model's own fields (`temperature`, `max_tokens`, …) are not repeated here: `reply` finds
    them on `self`, with the call's values already in place of the constructor's.

    Args:
        messages: The conversation. Its messages belong to the caller: don't change them.
        stop: The stop sequences in force; Chatwright applies them to whatever the source yields,
            so a source need not look at them.
        tools: Tools in OpenAI's form, or None. They are shared between calls: don't change them.
        tool_choice: As OpenAI's parameter, or None.
        response_format: As OpenAI's parameter, or None.
        parameters: The call's other parameters, those that are no field of the model.
        given: Everything that the call gave beside the messages, by the names that it gave.
        config: The `RunnableConfig` for what the source calls itself; its callbacks make that a
            child of the model's run. LangChain's models, chains and graphs find it by themselves.
        streamed: Whether pieces are of use: they go out as they come, or a stop sequence may end
            the answer early.
    """

    messages: Sequence[BaseMessage]
    stop: tuple[str, ...] = ()
    tools: Sequence[Mapping[str, Any]] | None = None
    tool_choice: Any = None
    response_format: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    config: RunnableConfig = field(default_factory=RunnableConfig)
    streamed: bool = True


def schema_of(response_format: Mapping[str, Any]) -> Any:
    """Return the JSON schema in a `response_format`: OpenAI's, or llama.cpp's; None without one."""
    named = response_format.get("json_schema") or {}
    return named["schema"] if "schema" in named else response_format.get("schema")


def as_stops(stop: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the stop sequences as a tuple.

    Raises:
        ParameterError: One of them is empty or no string.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    for each in stops:
        if not isinstance(each, str) or not each:
            raise ParameterError(
                f"stop holds {each!r}, which can't end an answer; every stop sequence must be a "
                "non-empty str"
            )
    return stops


def warn_of_chains(stops: Iterable[str]) -> None:
    """Warn of stop sequences that, included in the text, are read as a tool's input or as a query.

    Those chains were made for providers that leave the sequence out (langchain-ai/langchain#12645).
    """
    if chains := sorted(_OF_CHAINS.intersection(stops)):
        warnings.warn(
            f"the chain that stops the LLM at {chains[0]!r} would read the sequence as part of the "
            "answer, which ends with it as LangChain's guide asks; set include_stop=False on the "
            "model to leave it out",
            stacklevel=2,
        )
