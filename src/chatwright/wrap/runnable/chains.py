"""A chain inside: any Runnable from messages to a message or text."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.prompts import BasePromptTemplate
from langchain_core.prompts.chat import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase

from chatwright.errors import DefinitionError
from chatwright.langchain.request import Request
from chatwright.wrap.runnable.adapter import Adapter

__all__ = ["ChainAdapter"]


class ChainAdapter(Adapter):
    """A chain as a source.

    A prompt at its beginning is filled in: a placeholder for messages gets the conversation, the
    one text variable the last message's text, and then the placeholder what was said before it.

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
        async for piece in self._runnable.astream(given, request.config):
            yield piece

    def _input(self, request: Request, fields: Mapping[str, Any]) -> Any:
        self._refuse_parameters(request, fields)
        messages = list(request.messages)
        if not self._texts and not self._placeholders:
            return messages
        given: dict[str, Any] = dict.fromkeys(self._texts, messages[-1].text)
        before = messages[:-1] if self._texts else messages
        return {**given, **dict.fromkeys(self._placeholders, before)}


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
