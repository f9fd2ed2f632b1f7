"""A chain inside: any Runnable from messages to a message or text."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.prompts import BasePromptTemplate
from langchain_core.prompts.chat import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase

from chatwright.errors import DefinitionError, ParameterError
from chatwright.langchain.request import Request
from chatwright.wrap.runnable.adapter import Adapter

__all__ = ["ChainAdapter"]


class ChainAdapter(Adapter):
    """A chain as a source.

    A prompt at its beginning is filled in: a placeholder for messages gets the conversation, the
    one text variable the last message's text, and then the placeholder what was said before it.
    Without a placeholder, the chain knows the last message only.

    Args:
        runnable: The chain.

    Raises:
        DefinitionError: Its prompt wants what a conversation does not hold.
    """

    kind = "chain"

    def __init__(self, runnable: Runnable[Any, Any]) -> None:
        """Look at what the chain begins with."""
        self._runnable = runnable
        steps = _steps(runnable)
        name = getattr(runnable, "name", None) or _name(runnable)
        super().__init__(name, runs_sync=not any(_only_async(each) for each in steps))
        prompt = steps[0]
        self._texts: Sequence[str] = ()
        self._placeholders: Sequence[str] = ()
        if isinstance(prompt, BasePromptTemplate):
            self._look_at(prompt)

    def _look_at(self, prompt: BasePromptTemplate[Any]) -> None:
        parts = prompt.messages if isinstance(prompt, ChatPromptTemplate) else ()
        placeholders = [each for each in parts if isinstance(each, MessagesPlaceholder)]
        names = {each.variable_name for each in placeholders}
        self._placeholders = sorted(names - prompt.partial_variables.keys())
        self._texts = sorted(set(prompt.input_variables) - names)
        if len(self._texts) > 1 or len(self._placeholders) > 1:
            wanted = ", ".join([*self._texts, *self._placeholders])
            raise DefinitionError(
                f"{self.name}: its prompt wants {wanted}, but a conversation has one last text, "
                "and messages; fill the others in by prompt.partial(…), or begin the chain with a "
                "function of messages that returns the prompt's variables"
            )

    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Any]:
        """Yield what the chain writes, or the whole answer where nobody wants pieces."""
        given = self._input(request, fields)
        if not request.streamed:
            yield self._runnable.invoke(given, request.config)
            return
        yield from self._runnable.stream(given, request.config)

    async def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Do what `read` does."""
        given = self._input(request, fields)
        if not request.streamed:
            yield await self._runnable.ainvoke(given, request.config)
            return
        stream: Any = self._runnable.astream(given, request.config)
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece

    def _input(self, request: Request, fields: Mapping[str, Any]) -> Any:
        self._refuse_parameters(request, fields)
        messages = list(request.messages)
        if not self._texts and not self._placeholders:
            return messages
        if not self._placeholders:
            self._refuse_what_is_no_text(request)
        given: dict[str, Any] = dict.fromkeys(self._texts, messages[-1].text)
        before = messages[:-1] if self._texts else messages
        return {**given, **dict.fromkeys(self._placeholders, before)}

    def _refuse_what_is_no_text(self, request: Request) -> None:
        """Refuse what a prompt of one text has no place for.

        Raises:
            ParameterError: Tools or a format are asked for, or there is more than text.
        """
        asked = request.given.keys() & {"response_format", "tools"}
        content = request.messages[-1].content
        if asked or any(isinstance(b, dict) and b.get("type") != "text" for b in content):
            what = ", ".join(sorted(asked)) or "content that is no text"
            raise ParameterError(
                f"{self.name} begins with a prompt of one text, which has no place for {what}; "
                "give the prompt a MessagesPlaceholder"
            )


def _steps(runnable: Any) -> Sequence[Any]:
    if isinstance(runnable, RunnableSequence):
        return [inner for each in runnable.steps for inner in _steps(each)]
    return _steps(runnable.bound) if isinstance(runnable, RunnableBindingBase) else [runnable]


def _only_async(step: Any) -> bool:
    return isinstance(step, RunnableLambda) and not hasattr(step, "func")


def _name(runnable: Runnable[Any, Any]) -> str:
    steps = _steps(runnable)
    names = [each for step in steps for each in (getattr(step, "model_name", None),) if each]
    return str(names[-1]) if names else runnable.get_name()
