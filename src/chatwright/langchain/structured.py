"""`with_structured_output`: asked for, validated, and asked for again where it does not conform."""

import contextlib
import functools
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import patch_config
from pydantic import ConfigDict, Field

from chatwright.errors import ParameterError, RefusalError, StructureError
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.parsed import (
    Growing,
    Holding,
    complaint,
    refusal_in,
    was_cut,
    withheld_in,
)
from chatwright.langchain.schemas import Target, traced
from chatwright.langchain.tools import as_tools, tool_name

__all__ = ["Method", "StructuredOutput", "structured"]

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Steps: TypeAlias = Generator[tuple[Sequence[BaseMessage], Mapping[str, Any]], AIMessage, Any]


_SHORTER = (100, 25)  # characters a text may have, where one answer was cut, and two


class CanBeStructured(Protocol):
    """What `structured` wants of a model."""

    def capabilities(self) -> Capabilities: ...

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]: ...


def structured(
    model: CanBeStructured,
    target: Target,
    *,
    method: str | None,
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
    if method not in get_args(Method):
        raise ParameterError(
            f"method={method!r} is no method; it can be json_schema, function_calling or json_mode"
        )
    trace = {"kwargs": {"method": method, "strict": target.strict}, "schema": traced(target)}
    tools = as_tools(parameters.get("tools") or ())
    asked, *briefer = [
        _asked_for(each, method, tools)
        for each in (target, *(target.bounded(length) for length in _SHORTER))
    ]
    choice: dict[str, Any] = {}
    if "tools" in asked:  # whether the call came is looked at here
        choice = {"tool_choice": "any" if tools else target.name, "tool_retries": None}
    bound = {**choice, **parameters, **asked, "ls_structured_output_format": trace}
    runnable = model.bind_tools(bound.pop("tools", ()), **bound)
    return StructuredOutput(
        model=runnable,
        target=target,
        by_call=method == "function_calling",
        tools=frozenset(filter(None, map(tool_name, tools))),
        briefer=() if method == "json_mode" else briefer,
        include_raw=include_raw,
        retries=retries,
        made=functools.partial(
            structured,
            model,
            target,
            method=method,
            include_raw=include_raw,
            retries=retries,
            parameters=parameters,
        ),
    )


def _asked_for(target: Target, method: str, tools: Sequence[Any]) -> dict[str, Any]:
    """Return the call parameters that ask for a target, beside other tools."""
    if method == "function_calling":
        return {"tools": [*tools, target.tool()]}
    if method == "json_mode":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": target.response_format()}


class StructuredOutput(RunnableSerializable[LanguageModelInput, Any]):
    """A model that answers with what a schema describes.

    Args:
        model: The chat model, with the format or the tool bound.
        target: What is asked for.
        by_call: Whether it comes as a tool call, or as the answer's text.
        tools: The names of the other tools that may be called: such a call is an answer, too.
        briefer: Call parameters for other attempts where an answer got too long and was cut: they
            bound texts and lists that the schema does not, as `response_metadata["bounded"]` says.
        include_raw: Whether the result is a dict of `raw`, `parsed` and `parsing_error`.
        retries: How often to ask again, with what was wrong.
        judged: Whether what comes is judged by the caller, and handed over as it is.
        made: What makes the same with other parameters.
    """

    model: Runnable[Any, AIMessage]
    target: Any
    by_call: bool
    tools: frozenset[str] = frozenset()
    briefer: Sequence[Mapping[str, Any]] = ()
    include_raw: bool = False
    retries: int = Field(default=2, ge=0)
    judged: bool = False
    made: Any = Field(default=None, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Return the result.

        Raises:
            StructureError: No answer conforms, not even after asking again.
            RefusalError: The model refuses, or its answer is filtered; it is not asked again.
                With `include_raw` either stands in `parsing_error` instead.
        """
        if judged := self._judged_by_caller(config):
            return judged.invoke(input, config, **kwargs)
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Do what `invoke` does."""
        if judged := self._judged_by_caller(config):
            return await judged.ainvoke(input, config, **kwargs)
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def _judged_by_caller(self, config: RunnableConfig | None) -> "StructuredOutput | None":
        """Return what hands over whatever JSON came, at once, if the caller judges it himself.

        LangChain's middlewares mark the calls that they make by `lc_source`. The one of them that
        asks for a dict (`LLMToolSelectorMiddleware`, langchain 1.5.2) asks again by itself, and has
        an `on_parsing_failure` for what does not conform. Calls below it inherit the mark, so that
        only the caller's own config counts.
        """
        marked = "lc_source" in ((config or {}).get("metadata") or {})
        if not marked or self.judged or self.include_raw or not isinstance(self.target.given, dict):
            return None
        return self.model_copy(update={"judged": True})

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

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "StructuredOutput":
        """Return the same with tools that may be called instead; `ChatModel.bind_tools` tells more.

        With `include_raw`, an answer that calls one has `parsed` None and no `parsing_error`.
        """
        parameters = {**self.made.keywords["parameters"], **kwargs}
        earlier = parameters.get("tools") or ()
        made: StructuredOutput = self.made(parameters={**parameters, "tools": [*earlier, *tools]})
        return made

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
            growing = Growing(self.target, by_call=self.by_call)
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
            growing = Growing(self.target, by_call=self.by_call)
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

    def _final(self, result: Any, growing: Growing) -> Iterator[Any]:
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
            raw = _told(answer, attempts, bounded=bool(more))
            if refusal := refusal_in(raw):
                return self._refused(raw, refusal)
            if self._called_another(raw):
                return self._result(raw, None, None)
            held = Holding(raw, self.target, by_call=self.by_call)
            if held.problem is None or self.judged:
                return self._result(raw, held.result if held.problem is None else held.value, None)
            if withheld := withheld_in(raw):
                return self._refused(raw, withheld)
            messages = [*messages, answer, *complaint(answer, held.problem)]
            if was_cut(answer) and briefer:
                more = briefer.pop(0)
        failed = StructureError(
            f"no answer conforms to {self.target.name}, not one of {self.retries + 1}; the last: "
            f"{held.problem}",
            llm_output=raw.text,
        )
        if not self.include_raw:
            raise failed from held.problem
        return self._result(raw, None, failed)

    def _refused(self, answer: AIMessage, refusal: RefusalError) -> Any:
        """Return that the model refused; asking again would not help.

        Raises:
            RefusalError: There is no place for it in the result.
        """
        if not self.include_raw:
            raise refusal
        return self._result(answer, None, refusal)

    def _called_another(self, answer: AIMessage) -> bool:
        """Tell whether the answer is a call of another tool.

        Raises:
            StructureError: It is, and there is no place for it in the result.
        """
        names = {call["name"] for call in answer.tool_calls}
        if self.by_call and self.target.name in names:
            return False
        if (called := names & self.tools) and not self.include_raw:
            raise StructureError(
                f"the answer is a call of {', '.join(sorted(called))}, and no {self.target.name}; "
                "with include_raw=True it is in the result's 'raw'",
                llm_output=answer.text,
            )
        return bool(called)

    def _result(self, raw: AIMessage, parsed: Any, error: Exception | None) -> Any:
        if self.include_raw:
            return {"raw": raw, "parsed": parsed, "parsing_error": error}
        return parsed


def _told(answer: AIMessage, attempts: int, *, bounded: bool) -> AIMessage:
    """Return the answer with what is told of how it came."""
    metadata = {**answer.response_metadata, "attempts": attempts}
    if bounded:
        metadata["bounded"] = True
    return answer.model_copy(update={"response_metadata": metadata})


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
