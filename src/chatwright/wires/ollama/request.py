"""Requests of Ollama's chat and generate, as a server reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field

from chatwright.wires.openai.request import Function
from chatwright.wires.prompt import Body, Prompt, answer, given, refuse, validated

__all__ = ["Chat", "Generate", "Show"]


class Options(BaseModel):
    """Sampling parameters, and how the model is run."""

    model_config = ConfigDict(extra="allow")

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] | None = None
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Asking(Body):
    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    think: bool | str | None = None
    keep_alive: int | float | str | None = None

    silent: ClassVar[frozenset[str]] = frozenset({"truncate", "shift"})
    refused: ClassVar[Mapping[str, Any]] = {"logprobs": (False,), "top_logprobs": (0,)}

    def asked(self) -> dict[str, Any]:
        """Return what both kinds of request ask alike."""
        options = self.options or Options()
        sampling = options.model_dump(include=set(Options.model_fields) - {"stop"})
        sampling["max_tokens"] = sampling.pop("num_predict")
        if (sampling["max_tokens"] or 0) <= 0:  # -1 and -2 are no limit
            del sampling["max_tokens"]
        stops = [options.stop] if isinstance(options.stop, str) else options.stop or []
        others = [f"options.{name}" for name in options.model_extra or ()]
        think = ["think"] if self.think else []
        return {
            "response_format": self._format(),
            "stop": [each for each in stops if each],
            "parameters": given(**sampling),
            "hides_reasoning": self.think is False,
            "loads": "unload" if str(self.keep_alive).rstrip("hms") == "0" else "load",
            "ignored": [*self.unknown(), *sorted(others), *think],
        }

    def _format(self) -> dict[str, Any] | None:
        if not self.format:
            return None
        if self.format == "json":
            return {"type": "json_object"}
        if isinstance(self.format, str):
            raise refuse("format", "it is json, or a JSON schema")
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": self.format}}


class Chat(_Asking):
    """A request for the next message of a chat.

    https://docs.ollama.com/api/chat
    """

    messages: list[Message] = Field(default_factory=list)
    tools: list[dict[str, Any]] | None = None

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        tools = []
        for n, each in enumerate(self.tools or ()):
            tools.append(validated(Function, each.get("function"), f"tools.{n}.function").tool())
        return Prompt(messages=[*_messages(self.messages)], tools=tools, **self.asked())


class Generate(_Asking):
    """A request for the completion of a prompt, which becomes a user's message.

    https://docs.ollama.com/api/generate
    """

    prompt_text: str = Field(default="", alias="prompt")
    system: str | None = None
    images: list[str] | None = None

    refused: ClassVar[Mapping[str, Any]] = {
        **_Asking.refused,
        "raw": (False,),
        "suffix": ("",),
        "template": ("",),
        "context": ([],),
    }

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: A field holds what can't be read.
        """
        if not (self.prompt_text or self.images):
            return Prompt(messages=[], **self.asked())
        system = [SystemMessage(self.system)] if self.system else []
        question = HumanMessage(_content(self.prompt_text, self.images))
        return Prompt(messages=[*system, question], **self.asked())


class Show(Body):
    """A request for what there is to know of a model.

    https://docs.ollama.com/api-reference/show-model-details
    """

    model: str | None = None
    name: str | None = None


def _messages(messages: list[Message]) -> Iterator[BaseMessage]:
    """Yield the messages; calls have no ids on this wire, and results come in their order."""
    waiting: list[str] = []
    for n, each in enumerate(messages):
        content = _content(each.content, each.images)
        match each.role:
            case "system":
                yield SystemMessage(content)
            case "user":
                yield HumanMessage(content)
            case "assistant":
                calls = []
                for k, call in enumerate(each.tool_calls or ()):
                    function = call.get("function") or {}
                    args = function.get("arguments") or {}
                    call_id = str(call.get("id") or f"call_{n}_{k}")
                    calls.append((call_id, str(function.get("name") or ""), args))
                waiting = [call_id for call_id, *_ in calls]
                yield answer(content, calls, each.thinking or "")
            case "tool":
                call_id = each.tool_call_id or (waiting[0] if waiting else "")
                waiting = [other for other in waiting if other != call_id]
                yield ToolMessage(content, tool_call_id=call_id, name=each.tool_name)


_KINDS = {"/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"}
"""Images by what they begin with in base64; others are PNGs."""


def _content(text: str, images: list[str] | None) -> Any:
    if not images:
        return text
    shown = [
        {"type": "image", "base64": each, "mime_type": f"image/{_KINDS.get(each[:4], 'png')}"}
        for each in images
    ]
    return [{"type": "text", "text": text}, *shown] if text else shown
