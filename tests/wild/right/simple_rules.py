"""A function of the same process, as LangChain's SimpleChatModel.

Modelled on: the smallest classes that one finds, for rules, retrieval without an LLM, or a fallback for when no
key is set: one `_call`, nothing more.

Right: it does what it says and refuses the rest. No tools and no structured output (LangChain's
NotImplementedError stands), no streaming of its own, async by LangChain's thread; stop sequences are kept to;
content that is not text is refused; an option that it doesn't know is refused by name; the same question gives
the same answer, so a cache may keep it, and the rules are in its key.

MODEL: RulesChat
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import SimpleChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from pydantic import Field


class RulesChat(SimpleChatModel):
    """Answers by rules: the first word of a rule that is in the question gives the answer."""

    rules: dict[str, str] = Field(
        default_factory=lambda: {
            "opening": "We are open from nine to five.",
            "price": "It costs ten francs.",
        }
    )
    otherwise: str = "I have no rule for this: {question}"

    @property
    def _llm_type(self) -> str:
        return "rules"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"rules": dict(sorted(self.rules.items())), "otherwise": self.otherwise}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "rules"
        params.setdefault("ls_model_name", "rules")
        return params

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        kwargs.pop("stream", None)
        if kwargs:
            raise TypeError(f"Rules know no {', '.join(sorted(kwargs))}.")
        for message in messages:
            if isinstance(message.content, list) and any(
                isinstance(block, dict) and block.get("type") != "text" for block in message.content
            ):
                raise ValueError("Rules read text only.")
        asked = [message.text for message in messages if message.type == "human"]
        if not asked:
            raise ValueError("There is no question among the messages.")
        question = asked[-1]
        answer = next(
            (said for word, said in self.rules.items() if word in question.lower()),
            self.otherwise.replace("{question}", question),
        )
        ends = [answer.index(word) for word in stop or [] if word and word in answer]
        return answer[: min(ends)] if ends else answer
