"""What one kind of Runnable needs to be a source."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel, ModelProfile

from chatwright.errors import ParameterError
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.request import Request

__all__ = ["EVERY_MEDIUM", "Adapter", "refuse_parameters"]

EVERY_MEDIUM = Capabilities(inputs=frozenset({"audio", "file", "image", "video"}))
"""What is asked for media is the inner one's own business: it says what it does not take."""


class Adapter(Protocol):
    """One kind of Runnable as a source."""

    takes_parameters: bool
    """Whether it can be given temperature and the like."""
    name: str
    """The model's name, where the user gives none."""
    runs_sync: bool
    """Whether synchronous code can be given it as it is."""
    runs_async: bool
    """Whether a task can."""

    def capabilities(self) -> Capabilities:
        """Return what it does by itself."""

    def profile(self) -> ModelProfile:
        """Return what is known of its LLM."""

    def models(self) -> list[BaseChatModel]:
        """Return the chat models that it consists of; none, if it is more than that."""

    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the answer to synchronous code."""

    def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield the answer to a task."""


def refuse_parameters(name: str, kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what a chain or a graph could not pass on.

    Raises:
        ParameterError: Anything is given.
    """
    for parameter in given:
        raise ParameterError(
            f"{name} is a {kind} and takes no {parameter!r}; set it on the model inside"
        )
