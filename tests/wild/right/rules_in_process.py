"""A chat model that is no LLM: rules in this process answer, so that a demo and its tests run offline.

Modelled on: "offline mode" models in demo repositories (a SimpleChatModel with a list of pattern and answer).
Right: it is text in, text out, and says so. Stop sequences are kept (the answer ends before the first of
them), other content than text and tools are refused by an error, every setting is in the cache key, no state is
kept between calls.
MODEL: RulebookChat
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import re
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import BaseMessage

_RULES = (
    (r"\b(hi|hello|good (morning|day|evening))\b", "Good day to you. How can I be of help?"),
    (r"\bopening hours\b", "We are open from nine to five, Monday to Friday."),
    (r"\bcapital of france\b", "The capital of France is Paris."),
)


class RulebookChat(SimpleChatModel):
    """Answers by the first rule that fits the last message, else by an honest sentence."""

    rules: tuple[tuple[str, str], ...] = _RULES
    otherwise: str = "I have no rule for that. You said: {text}"

    @property
    def _llm_type(self) -> str:
        return "rulebook"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "rules": self.rules,
            "otherwise": self.otherwise,
            "output_version": self.output_version,
        }

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        for name in ("tools", "functions", "response_format"):
            if kwargs.get(name):
                raise NotImplementedError(f"RulebookChat has no {name}.")
        for message in messages:
            for block in message.content if isinstance(message.content, list) else []:
                if isinstance(block, dict) and block.get("type") != "text":
                    raise ValueError(
                        f"RulebookChat reads text alone, not {block.get('type')!r} blocks."
                    )
        text = messages[-1].text if messages else ""
        answer = self.otherwise.replace("{text}", text)
        for pattern, said in self.rules:
            if re.search(pattern, text, re.IGNORECASE):
                answer = said
                break
        cuts = [answer.find(one) for one in stop or [] if one and one in answer]
        return answer[: min(cuts)] if cuts else answer
