"""A chat model with call parameters bound to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding

if TYPE_CHECKING:  # core's own, which differs for type checkers only
    from langchain_core.language_models.chat_models import _ChatModelBinding as Binding
else:
    Binding = RunnableBinding

__all__ = ["BoundModel"]


class BoundModel(Binding):  # type: ignore[no-redef]  # pydantic's plugin and **kwargs, as in core
    """What `bind` and `bind_tools` return: core's binding, whose `explain` knows what is bound."""

    def explain(self, input: LanguageModelInput, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Return what the LLM would be given; see `ChatModel.explain`."""
        explained: dict[str, Any] = self.bound.explain(input, **{**self.kwargs, **kwargs})  # type: ignore[attr-defined]
        return explained

    def bind(self, **kwargs: Any) -> "BoundModel":
        """Bind beside what is bound already, as the model itself does."""
        bound: BoundModel = self.bound.bind(**{**self.kwargs, **kwargs})  # type: ignore[assignment]
        return self.model_copy(update={"kwargs": bound.kwargs})

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        """Bind tools beside what is bound already; see `ChatModel.bind_tools`."""
        bound = self.bound.bind_tools(tools, **kwargs)  # type: ignore[attr-defined]
        return self.bind(**bound.kwargs)

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """Keep what is bound already; see `ChatModel.with_structured_output`."""
        merged = {**self.kwargs, **kwargs}
        structured: Runnable[Any, Any] = self.bound.with_structured_output(schema, **merged)  # type: ignore[attr-defined]
        return structured.with_config(self.config) if self.config else structured

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialize as core's own binding, which is what `load` makes of it."""
        return RunnableBinding.lc_id()
