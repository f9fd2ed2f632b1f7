"""A chat model with call parameters bound to it."""

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
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

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialize as core's own binding, which is what `load` makes of it."""
        return RunnableBinding.lc_id()
