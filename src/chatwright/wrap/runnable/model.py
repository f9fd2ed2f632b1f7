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

    A subclass may have a default for `runnable`: a function that makes it. It is then part of the
    class, as a method is: neither pickled nor serialized, but made anew, and no part of cache keys.

    Raises:
        DefinitionError: The prompt of a chain, or the state of a graph, does not fit.
        InterruptedAnswerError: A graph was interrupted (with the answer).
        ParameterError: A chain or a graph is given a temperature, say (with the call).
    """

    runnable: Runnable[Any, Any] = Field(exclude=True, repr=False)
    """The chat model (bound, with retries or fallbacks too); the chain, from messages to a message
    or text; or the compiled graph, whose state has `messages`."""
    steps: Steps = "reasoning"
    """What becomes of a graph's tool calls and results: `reasoning`, or `hidden` for nothing."""

    fixed = ChatModel.fixed | {"max_retries", "runnable", "steps"}
    lasting = ChatModel.lasting | {"_adapter", "_can_be_stored"}

    def __init__(self, runnable: Runnable[Any, Any] | None = None, **fields: Any) -> None:
        """Take the Runnable by position, too."""
        super().__init__(**({} if runnable is None else {"runnable": runnable}), **fields)

    @functools.cached_property
    def _adapter(self) -> Adapter:
        if chat_models(self.runnable):
            return ModelAdapter(self.runnable)
        if is_graph(self.runnable):
            return GraphAdapter(self.runnable, self.steps)
        return ChainAdapter(self.runnable)

    @model_validator(mode="after")
    def _look_at_once(self) -> "ChatRunnable":
        """Refuse what does not fit before it is asked."""
        if self.max_retries is not None:
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
    def _llm_type(self) -> str:
        return "chat-runnable"

    @property
    def _is_of_the_class(self) -> bool:
        """Whether the inner one is what the class makes by itself."""
        return "runnable" not in self.model_fields_set

    def _identified(self) -> dict[str, Any]:
        left = {"runnable"} if self._is_of_the_class else set()
        return {name: each for name, each in super()._identified().items() if name not in left}

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the inner one, unless the class makes it."""
        state = super().__getstate__()
        if self._is_of_the_class:
            state["__dict__"].pop("runnable")
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take what was pickled."""
        if "runnable" not in state["__dict__"]:
            made = type(self).model_fields["runnable"].get_default(call_default_factory=True)
            state = {**state, "__dict__": {**state["__dict__"], "runnable": made}}
        super().__setstate__(state)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize the inner one, unless the class makes it."""
        inner = {} if self._is_of_the_class else {"runnable": self.runnable}
        return {**super().lc_attributes, **inner}

    def to_json(self) -> Any:
        """Serialize the model; say that it can't be where that holds of something inside."""
        if self._can_be_stored:
            return super().to_json()
        return {**self.to_json_not_implemented(), "name": self.get_name()}

    @functools.cached_property
    def _can_be_stored(self) -> bool:
        if self._is_of_the_class:
            return True
        inner = _parts(dumpd(self.runnable))
        return not any(isinstance(each, dict) and each.get("type") == _UNSTORED for each in inner)


def _parts(value: Any) -> Iterator[Any]:
    """Yield a serialized value and all that is in it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value
    for each in inside if isinstance(value, dict | list) else ():
        yield from _parts(each)
