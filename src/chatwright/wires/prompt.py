"""What a request at the server's end of a wire asks of a chat model: LangChain's messages."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeVar

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from pydantic import BaseModel, ConfigDict, ValidationError

from chatwright.errors import InvalidRequestError
from chatwright.langchain.media import as_media

__all__ = ["Body", "Prompt", "answer", "blocks", "given", "refuse", "validated"]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a request asks of a chat model.

    Args:
        messages: The conversation; empty where the model is to be loaded, and nothing said, as
            Ollama's clients ask.
        tools: Function tools in OpenAI's form.
        tool_choice: As OpenAI has it; None where nothing is said.
        response_format: As OpenAI has it; None for text.
        stop: The stop sequences.
        parameters: Sampling parameters that are set, by LangChain's names.
        others: Further conversations that are asked the same.
        count: How many answers are wanted, to each.
        tells_usage: Whether a stream tells the tokens spent.
        hides_reasoning: Whether reasoning was not asked for where that is for a client to say.
        loads: What is answered where nothing is said: that the model is there, or is let go.
        ignored: The names of fields that have a value and no effect, as the original's server
            leaves out what it does not know: for the log.
    """

    messages: Sequence[BaseMessage]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    others: Sequence[Sequence[BaseMessage]] = ()
    count: int = 1
    tells_usage: bool = True
    hides_reasoning: bool = False
    loads: str = "load"
    ignored: Sequence[str] = ()

    @property
    def answers(self) -> int:
        """How many answers are wanted in all."""
        return self.count * (1 + len(self.others))

    def each(self) -> "list[Prompt]":
        """Return a prompt for each answer, in their order."""
        talks = [self.messages, *self.others]
        ones = [replace(self, messages=talk, others=(), count=1) for talk in talks]
        return [one for one in ones for _ in range(self.count)]


class Body(BaseModel):
    """A request's body: what is known of it is validated, and the rest is kept by name."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    parameters: ClassVar[Mapping[str, str]] = {}
    """The fields that are sampling parameters, and LangChain's names for them."""
    refused: ClassVar[Mapping[str, Any]] = {}
    """The fields that no chat model can honour, and the values by which they ask for nothing."""
    silent: ClassVar[frozenset[str]] = frozenset()
    """Fields without effect on an answer: those are left out without a word in the log."""

    @classmethod
    def read(cls, body: Any) -> Self:
        """Return a request of what was sent.

        Raises:
            InvalidRequestError: It is not one; the message names the field.
        """
        if not isinstance(body, dict):
            raise refuse("", "the body has to be a JSON object")
        read = validated(cls, body)
        for name, idle in cls.refused.items():
            value = (read.model_extra or {}).get(name)
            if value is not None and value not in idle:
                raise refuse(name, "this server can't honour it; leave it out")
        return read

    @classmethod
    def schema_parts(cls, place: str) -> dict[str, dict[str, Any]]:
        """Return the JSON schema of a request, and of its parts, each by its name.

        Fields that can't be honoured have the values alone by which they ask for nothing.

        Args:
            place: What stands before a name in references.
        """
        made = cls.model_json_schema(ref_template=f"{place}{cls.__name__}.{{model}}")
        parts = {f"{cls.__name__}.{name}": each for name, each in made.pop("$defs", {}).items()}
        for name, idle in cls.refused.items():
            made["properties"][name] = {"enum": [None, *idle], "description": "Not honoured."}
        return {cls.__name__: made, **parts}

    def sampling(self) -> dict[str, Any]:
        """Return the sampling parameters that are set, by LangChain's names."""
        named = ((ours, getattr(self, name)) for name, ours in self.parameters.items())
        return {ours: value for ours, value in named if value is not None}

    def unknown(self) -> list[str]:
        """Return the names of fields that have a value and no effect."""
        extra = (self.model_extra or {}).items()
        return [name for name, value in extra if value is not None and name not in self.silent]


M = TypeVar("M", bound=BaseModel)


def validated(cls: type[M], value: Any, place: str = "") -> M:
    """Return a value as a model of pydantic's.

    Args:
        cls: The model.
        value: The value.
        place: Where it stands, for errors.

    Raises:
        InvalidRequestError: It is not one; the message names the field.
    """
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = [place] if place else []
        raise refuse(".".join([*path, *map(str, first["loc"])]), first["msg"]) from None


def refuse(field_name: str, message: str) -> InvalidRequestError:
    """Return the error of a request that can't be taken.

    Args:
        field_name: The path to the field, such as `messages.0.role`; empty for the whole.
        message: What is wrong.
    """
    error = InvalidRequestError(f"{field_name}: {message}" if field_name else message)
    error.status = 400
    return error


def blocks(content: Any, place: str) -> str | list[str | dict[str, Any]]:
    """Return content in a wire's parts as LangChain's messages have it.

    Args:
        content: A text, or a list of parts in OpenAI's or Anthropic's form.
        place: Where it stands, for errors.

    Raises:
        InvalidRequestError: A part of a kind that is not known.
    """
    if content is None or isinstance(content, str):
        return content or ""
    made: list[str | dict[str, Any]] = []
    for n, part in enumerate(content):
        match part:
            case str():
                made.append({"type": "text", "text": part})
            case {"type": "text" | "input_text" | "output_text", "text": str(text), **more}:
                mark = {k: v for k, v in more.items() if k == "cache_control" and v}
                made.append({"type": "text", "text": text, **mark})
            case {"type": "refusal", "refusal": str(text)}:
                made.append({"type": "text", "text": text})
            case {"type": str(kind)}:
                medium = as_media(part)
                if medium is None:
                    raise refuse(f"{place}.{n}.type", f"{kind!r} is no kind of content known here")
                made.append(medium)
            case _:
                raise refuse(f"{place}.{n}", "it has to be an object with a type")
    if all(isinstance(each, dict) and each.keys() == {"type", "text"} for each in made):
        return "".join(each["text"] for each in made if isinstance(each, dict))
    return made


def answer(
    content: Any,
    calls: Iterable[tuple[str, str, Any]] = (),
    reasoning: str = "",
    **kwargs: Any,
) -> AIMessage:
    """Return an earlier answer.

    Args:
        content: Its content.
        calls: Its tool calls: the id, the name, and the arguments, as an object or as text.
        reasoning: Its reasoning.
        **kwargs: Goes into `additional_kwargs`.
    """
    read, unread = [], []
    for call_id, name, args in calls:
        value = args
        if isinstance(args, str):
            try:
                value = json.loads(args or "{}")
            except ValueError:
                value = None
        if isinstance(value, dict):
            read.append(tool_call(id=call_id, name=name, args=value))
        else:
            told = args if isinstance(args, str) else json.dumps(args)
            why = "its arguments are no JSON object"
            unread.append(invalid_tool_call(id=call_id, name=name, args=told, error=why))
    if reasoning:
        kwargs["reasoning_content"] = reasoning
    return AIMessage(content, tool_calls=read, invalid_tool_calls=unread, additional_kwargs=kwargs)


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
