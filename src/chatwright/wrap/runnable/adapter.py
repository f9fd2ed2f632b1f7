"""What one kind of Runnable needs to be a source."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.language_models import ModelProfile

from chatwright.errors import ParameterError
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.request import Request

__all__ = ["EVERY_MEDIUM", "Adapter"]

EVERY_MEDIUM = Capabilities(inputs=frozenset({"audio", "file", "image", "video"}))
"""What is asked for media is the inner one's own business: it says what it does not take."""


class Adapter(ABC):
    """One kind of Runnable as a source.

    Args:
        name: The model's name, where the user gives none.
        runs_sync: Whether synchronous code can be given it as it is.
        runs_async: Whether a task can.
    """

    kind = ""
    """What it is called in errors; a chat model takes parameters, and needs none."""

    def __init__(self, name: str, *, runs_sync: bool, runs_async: bool = True) -> None:
        """Keep what was found out."""
        self.name = name
        self.runs_sync = runs_sync
        self.runs_async = runs_async

    @property
    def takes_parameters(self) -> bool:
        """Whether it can be given temperature and the like."""
        return not self.kind

    def capabilities(self) -> Capabilities:
        """Return what it does by itself. Default: tools and formats are asked for in the prompt."""
        return EVERY_MEDIUM

    def profile(self) -> ModelProfile:
        """Return what is known of its LLM."""
        return {}

    @abstractmethod
    def read(self, request: Request, fields: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the answer to synchronous code."""

    @abstractmethod
    def aread(self, request: Request, fields: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield the answer to a task."""

    def _refuse_parameters(self, request: Request, fields: Mapping[str, Any]) -> None:
        """Refuse what could not be passed on.

        Raises:
            ParameterError: Anything is given.
        """
        for parameter in {**fields, **request.parameters}:
            raise ParameterError(
                f"{self.name} is a {self.kind} and takes no {parameter!r}; set it on the model "
                "inside"
            )
