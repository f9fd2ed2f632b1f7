"""`ChatRunnable`: whatever answers messages as a chat model."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models import ModelProfile
from langchain_core.load import dumpd
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field, model_validator

from chatwright.core.bridge import Either
from chatwright.errors import DefinitionError
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request
from chatwright.langchain.run import Run
from chatwright.wrap.runnable.adapter import Adapter
from chatwright.wrap.runnable.chains import ChainAdapter
from chatwright.wrap.runnable.chat_models import ModelAdapter, chat_models
from chatwright.wrap.runnable.graphs import GraphAdapter, Steps, is_graph

__all__ = ["ChatRunnable"]

_PASSED_ON = ("temperature", "max_tokens", "top_p", "seed", "timeout")
_UNSTORED = "not_implemented"
"""What core's `dumpd` calls what can't be loaded again."""


class ChatRunnable(ChatModel):
    """A chat model made of another one, of a chain or of a graph; `chat_model` makes them.

    What the inner one does by itself stays its own: native tools and formats, async, streaming,
    ids, usage, metadata. The rest is done for it: stop sequences, taught tools, validated
    structured output, reasoning split off, one finish. Its runs are children of this model's.

    Parameters of a call go to a chat model inside as they are. A chain or a graph takes none.

    A subclass may write a method `make` that makes the inner one of the fields: it is then made
    anew where a field has changed, and neither pickled nor stored.

    Raises:
        DefinitionError: There is nothing inside; or the prompt of a chain, or the state of a graph,
            does not fit.
        InterruptedAnswerError: A graph was interrupted (with the answer).
        ParameterError: A chain or a graph is given a temperature, say (with the call).
    """

    runnable: Runnable[Any, Any] | None = Field(default=None, exclude=True, repr=False)
    """The chat model (bound, with retries or fallbacks too); the chain, from messages to a message
    or text; or the compiled graph, whose state has `messages`. Default None: what `make` makes."""
    steps: Steps = "reasoning"
    """What becomes of a graph's tool calls and results: `reasoning`, or `hidden` for nothing."""

    fixed = ChatModel.fixed | {"max_retries", "runnable", "steps"}
    lasting = ChatModel.lasting | {"_adapter", "_can_be_stored", "_inner"}

    def __init__(self, runnable: Runnable[Any, Any] | None = None, **fields: Any) -> None:
        """Take the Runnable by position, too."""
        super().__init__(**({} if runnable is None else {"runnable": runnable}), **fields)

    def make(self) -> Runnable[Any, Any]:
        """Make the inner one where none is given: a subclass's own.

        Raises:
            DefinitionError: The class has no such method of its own.
        """
        raise DefinitionError(
            f"{type(self).__name__} has nothing inside; give it a runnable, or write a subclass "
            "with a method make, which makes one"
        )

    @functools.cached_property
    def _inner(self) -> Runnable[Any, Any]:
        return self.make() if self.runnable is None else self.runnable

    @functools.cached_property
    def _adapter(self) -> Adapter:
        if chat_models(self._inner):
            return ModelAdapter(self._inner)
        if is_graph(self._inner):
            return GraphAdapter(self._inner, self.steps)
        return ChainAdapter(self._inner)

    @model_validator(mode="after")
    def _look_at_once(self) -> "ChatRunnable":
        """Refuse what does not fit before it is asked."""
        if self.max_retries is not None and self.runnable is not None:
            raise DefinitionError(
                f"max_retries={self.max_retries} is for the one inside to keep; set it there, or "
                "use with_retry()"
            )
        self.__dict__["name"] = self.name or self._adapter.name
        return self

    def reply(self, request: Request) -> Either:
        """Ask the inner one, on the side of the caller if it has both."""
        adapter = self._adapter
        fields = {n: each for n in _PASSED_ON if (each := getattr(self, n)) is not None}
        if "model" in request.given:  # a call's; the field is a name for this model
            fields["model"] = request.given["model"]
        return Either(
            functools.partial(adapter.read, request, fields) if adapter.runs_sync else None,
            functools.partial(adapter.aread, request, fields) if adapter.runs_async else None,
        )

    def replies_async(self) -> bool:
        """Say that `reply` never blocks."""
        return True

    def capabilities(self) -> Capabilities:
        """Return what the inner one does by itself."""
        return self._adapter.capabilities()

    def normalized(
        self, messages: Sequence[BaseMessage], can: Capabilities
    ) -> Sequence[BaseMessage]:
        """Leave messages as they are: the inner one takes LangChain's, in any form."""
        return messages

    def _run(self, config: RunnableConfig | None) -> Run:
        """Make less of the run: the config goes by hand, and a chat model tells its usage."""
        counts = not self._adapter.takes_parameters
        return Run(config, counts=counts, hands_config_on=True)

    def source_name(self) -> str:
        """Return the inner one's name, for errors."""
        return self._adapter.name

    def takes(self, name: str) -> bool:
        """Tell whether a call may give a parameter: chains and graphs take none."""
        return super().takes(name) and (name not in _PASSED_ON or self._adapter.takes_parameters)

    def _takes(self, name: str) -> bool:
        return super()._takes(name) or self._adapter.takes_parameters

    def _default_model_name(self) -> str:
        return self._adapter.name

    def _resolve_model_profile(self) -> ModelProfile:
        return {**super()._resolve_model_profile(), **self._adapter.profile()}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize the inner one, unless the class makes it."""
        inner = {} if self.runnable is None else {"runnable": self.runnable}
        return {**super().lc_attributes, **inner}

    def to_json(self) -> Any:
        """Serialize the model; say that it can't be where that holds of something inside."""
        if self._can_be_stored:
            return super().to_json()
        return {**self.to_json_not_implemented(), "name": self.get_name()}

    @functools.cached_property
    def _can_be_stored(self) -> bool:
        inner = () if self.runnable is None else _parts(dumpd(self.runnable))
        return not any(isinstance(each, dict) and each.get("type") == _UNSTORED for each in inner)


def _parts(value: Any) -> Iterator[Any]:
    """Yield a serialized value and all that is in it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value
    for each in inside if isinstance(value, dict | list) else ():
        yield from _parts(each)
