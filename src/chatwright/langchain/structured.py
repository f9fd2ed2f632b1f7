"""`with_structured_output`: asked for, validated, and asked for again where it does not conform."""

import contextlib
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import pydantic_core
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import patch_config
from pydantic import ConfigDict, Field

from chatwright.errors import ParameterError, StructureError
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.schemas import Target, traced

__all__ = ["Method", "StructuredOutput", "structured"]

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Steps: TypeAlias = Generator[tuple[Sequence[BaseMessage], Mapping[str, Any]], AIMessage, Any]


_SHORTER = (100, 25)  # characters a text may have, where one answer was cut, and two


class CanBeStructured(Protocol):
    """What `structured` wants of a model."""

    def capabilities(self) -> Capabilities: ...

    def bind(self, **kwargs: Any) -> Runnable[Any, AIMessage]: ...

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]: ...


def structured(
    model: CanBeStructured,
    target: Target,
    *,
    method: str | None,
    strict: bool | None,
    include_raw: bool,
    retries: int,
    parameters: Mapping[str, Any],
) -> "StructuredOutput":
    """Return the model bound to a target; `ChatModel.with_structured_output` tells of the rest.

    Raises:
        ParameterError: There is no such method.
    """
    if method is None:
        can = model.capabilities()
        method = "function_calling" if can.tools and not can.response_format else "json_schema"
    trace = {"kwargs": {"method": method, "strict": strict}, "schema": traced(target)}
    bound = {**parameters, "ls_structured_output_format": trace}
    if method == "function_calling":
        bound = {"tool_retries": None, **bound}  # whether the call came is looked at here
        runnable = model.bind_tools([target.tool(strict)], tool_choice=target.name, **bound)
    elif method == "json_schema":
        runnable = model.bind(response_format=target.response_format(strict), **bound)
    elif method == "json_mode":
        runnable = model.bind(response_format={"type": "json_object"}, **bound)
    else:
        raise ParameterError(
            f"method={method!r} is no method; it can be json_schema, function_calling or json_mode"
        )
    shorter = [target.bounded(length) for length in _SHORTER]
    briefer: list[Mapping[str, Any]] = []
    if method == "function_calling":
        briefer = [{"tools": [each.tool(strict)]} for each in shorter]
    elif method == "json_schema":
        briefer = [{"response_format": each.response_format(strict)} for each in shorter]
    return StructuredOutput(
        model=runnable,
        target=target,
        by_call=method == "function_calling",
        briefer=briefer,
        include_raw=include_raw,
        retries=retries,
    )


class StructuredOutput(RunnableSerializable[LanguageModelInput, Any]):
    """A model that answers with what a schema describes.

    Args:
        model: The chat model, with the format or the tool bound.
        target: What is asked for.
        by_call: Whether it comes as a tool call, or as the answer's text.
        briefer: Call parameters for other attempts where an answer got too long and was cut: they
            bound texts and lists that the schema does not, as `response_metadata["bounded"]` says.
        include_raw: Whether the result is a dict of `raw`, `parsed` and `parsing_error`.
        retries: How often to ask again, with what was wrong.
    """

    model: Runnable[Any, AIMessage]
    target: Any
    by_call: bool
    briefer: Sequence[Mapping[str, Any]] = ()
    include_raw: bool = False
    retries: int = Field(default=2, ge=0)

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Return the result.

        Raises:
            StructureError: No answer conforms, not even after asking again. With `include_raw` it
                stands in `parsing_error` instead.
        """
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Do what `invoke` does."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Yield the result as it grows; the last is what `invoke` returns.

        Of a class, instances come as soon as what there is suffices for one.
        """
        return self.transform(iter([input]), config, **kwargs)

    def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Do what `stream` does."""

        async def given() -> AsyncIterator[Any]:
            yield input

        return self.atransform(given(), config, **kwargs)

    def transform(
        self,
        input: Iterator[Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the result for an input that comes in pieces."""
        return self._transform_stream_with_config(input, self._transform, config, **kwargs)

    def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Do what `transform` does."""
        return self._atransform_stream_with_config(input, self._atransform, config, **kwargs)

    def explain(self, input: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Return what the LLM would be given first; see `ChatModel.explain`."""
        explained: dict[str, Any] = self.model.explain(input, **kwargs)  # type: ignore[attr-defined]
        return explained

    # The four drives of one conversation.

    def _invoke(self, given: Any, run_manager: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        steps = self._steps(given)
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, more = next(steps)
        while True:
            try:
                answer = self.model.invoke(messages, config, **kwargs, **more)
                messages, more = steps.send(answer)
            except StopIteration as ended:
                return ended.value

    async def _ainvoke(
        self, given: Any, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        steps = self._steps(given)
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, more = next(steps)
        while True:
            try:
                answer = await self.model.ainvoke(messages, config, **kwargs, **more)
                messages, more = steps.send(answer)
            except StopIteration as ended:
                return ended.value

    def _transform(
        self, given: Iterator[Any], run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Iterator[Any]:
        steps = self._steps(_total([*given]))
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, more = next(steps)
        while True:
            growing = _Growing(self.target, by_call=self.by_call)
            for chunk in self.model.stream(messages, config, **kwargs, **more):
                yield from self._shown(growing.feed(chunk))
            try:
                messages, more = steps.send(growing.message())
            except StopIteration as ended:
                yield from self._final(ended.value, growing)
                return

    async def _atransform(
        self, given: AsyncIterator[Any], run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[Any]:
        steps = self._steps(_total([each async for each in given]))
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, more = next(steps)
        while True:
            growing = _Growing(self.target, by_call=self.by_call)
            source: Any = self.model.astream(messages, config, **kwargs, **more)
            async with contextlib.aclosing(source) as chunks:
                async for chunk in chunks:
                    for shown in self._shown(growing.feed(chunk)):
                        yield shown
            try:
                messages, more = steps.send(growing.message())
            except StopIteration as ended:
                for shown in self._final(ended.value, growing):
                    yield shown
                return

    def _shown(self, results: Sequence[Any]) -> Iterator[Any]:
        for parsed in results:
            shown = {"raw": None, "parsed": parsed, "parsing_error": None}
            yield shown if self.include_raw else parsed

    def _final(self, result: Any, growing: "_Growing") -> Iterator[Any]:
        if self.include_raw or result != growing.result:
            yield result

    # The conversation.

    def _steps(self, given: LanguageModelInput) -> Steps:
        """Yield what to ask and how, be sent the answer, and so on; return the result."""
        messages: list[BaseMessage] = _as_messages(given)
        more: Mapping[str, Any] = {}
        briefer = [*self.briefer]
        attempts = 0
        for _ in range(self.retries + 1):
            answer = yield messages, more
            attempts += answer.response_metadata.get("attempts", 1)
            metadata = {**answer.response_metadata, "attempts": attempts}
            if more:
                metadata["bounded"] = True
            raw = answer.model_copy(update={"response_metadata": metadata})
            try:
                parsed = self.target.build(_json_of(raw, self.target, by_call=self.by_call))
            except Exception as error:  # noqa: BLE001  a schema's own validators may raise anything
                problem: Exception = error
                messages = [*messages, answer, *_complaint(answer, error)]
                if _was_cut(answer) and briefer:
                    more = briefer.pop(0)
                continue
            return self._result(raw, parsed, None)
        failed = StructureError(
            f"no answer conforms to {self.target.name}, not one of {self.retries + 1}; the last: "
            f"{problem}",
            llm_output=raw.text,
        )
        if not self.include_raw:
            raise failed from problem
        return self._result(raw, None, failed)

    def _result(self, raw: AIMessage, parsed: Any, error: Exception | None) -> Any:
        if self.include_raw:
            return {"raw": raw, "parsed": parsed, "parsing_error": error}
        return parsed


class _Growing:
    """One answer on its way, and what can be made of it so far."""

    def __init__(self, target: Target, *, by_call: bool) -> None:
        self._target = target
        self._by_call = by_call
        self._chunks: list[AIMessageChunk] = []
        self._whole: AIMessage | None = None
        self._json = ""
        self.result: Any = None

    def feed(self, chunk: Any) -> Sequence[Any]:
        """Take a chunk; return the result, if it has grown."""
        if not isinstance(chunk, AIMessageChunk):  # the model does not stream
            self._whole = chunk
            return ()
        self._chunks.append(chunk)
        new = self._call_json(chunk) if self._by_call else chunk.text
        if not new:
            return ()
        self._json += new
        try:
            value = pydantic_core.from_json(self._json, allow_partial="trailing-strings")
        except ValueError:
            return ()
        result = self._target.partial(value)
        if result is None or result == self.result:
            return ()
        self.result = result
        return (result,)

    @staticmethod
    def _call_json(chunk: AIMessageChunk) -> str:
        if chunk.tool_call_chunks:
            return "".join(each["args"] or "" for each in chunk.tool_call_chunks)
        return ""

    def message(self) -> AIMessage:
        """Return the whole answer."""
        if self._whole is not None:
            return self._whole
        first, *others = self._chunks
        whole = first + others if others else first
        message = message_chunk_to_message(whole)
        assert isinstance(message, AIMessage)  # noqa: S101  chunks of one make one
        return message


def _json_of(message: AIMessage, target: Target, *, by_call: bool) -> Any:
    """Return the JSON value that an answer holds.

    Raises:
        ValueError: It holds none.
    """
    if not by_call:
        return pydantic_core.from_json(message.text)
    for call in message.tool_calls:
        if call["name"] == target.name:
            return call["args"]
    if message.invalid_tool_calls:
        raise ValueError(f"the call can't be read: {message.invalid_tool_calls[0]['error']}")
    raise ValueError(f"there is no call of the tool {target.name}")


def _was_cut(answer: AIMessage) -> bool:
    return bool(answer.response_metadata.get("finish_reason") == "length")


def _complaint(answer: AIMessage, error: Exception) -> list[BaseMessage]:
    """Return what tells the LLM what was wrong."""
    text = f"This does not conform to the schema: {error}\nAnswer again, and mend that."
    if _was_cut(answer):
        text = "This got too long and was cut. Answer again, and be brief."
    calls = [*answer.tool_calls, *answer.invalid_tool_calls]
    return [
        ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error")
        for call in calls
    ] or [HumanMessage(text)]


def _as_messages(given: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(given, PromptValue):
        return given.to_messages()
    if isinstance(given, Sequence):
        return convert_to_messages([given] if isinstance(given, str) else given)
    raise TypeError(f"a model takes a str, messages or a PromptValue, not {given!r}")


def _total(pieces: Sequence[Any]) -> Any:
    total, *others = pieces
    for each in others:
        total = total + each
    return total
