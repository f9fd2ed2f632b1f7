"""A rule-based receptionist as a SimpleChatModel: patterns and arithmetic, no server, no tokens pretended.

Modelled on: demo and offline models that stand in for an LLM so that an app runs without any key.
What is right: pure and stateless (rules are validated once), answers depend on the messages only; stop honoured; the
arithmetic walks a syntax tree instead of calling eval; refuses pictures by NotImplementedError; offers no tools; async comes from
the base class's executor; no usage is claimed because nothing is billed.
MODEL: FrontDeskRules
KWARGS: {"house": "Hotel Adria"}
WIRE: none
"""

from __future__ import annotations

import ast
import operator
import re
from typing import Any, Optional

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import Field, field_validator

_OPS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_SUM = re.compile(r"[\d(][\d\s.()+*/-]*[\d)]")

DEFAULT_RULES: dict[str, str] = {
    r"\b(hi|hello|good (morning|evening))\b": "Good day, and welcome to {house}. How may I help you?",
    r"\b(check.?in|arrive)\b": "Check-in at {house} is from three in the afternoon; earlier on request.",
    r"\b(breakfast|eat)\b": "Breakfast is served from seven to ten in the garden room.",
    r"\bmy name is (?P<name>\w+)": "Thank you, {name}; I have noted your name.",
    r"\b(bye|thanks|thank you)\b": "You are welcome. {house} wishes you a pleasant day.",
}


def _value(node: ast.AST) -> float:
    if isinstance(node, ast.Expression):
        return _value(node.body)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPS:
        return _OPS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPS:
        return _OPS[type(node.op)](_value(node.operand))
    raise ValueError("not arithmetic")


class FrontDeskRules(SimpleChatModel):
    house: str = "the house"
    rules: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_RULES))
    otherwise: str = 'I am only the front desk of {house}; for "{asked}" please ask my colleagues.'

    @field_validator("rules")
    @classmethod
    def _compiles(cls, value: dict[str, str]) -> dict[str, str]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as exc:
                raise ValueError(f"bad rule {pattern!r}: {exc}") from exc
        return value

    @property
    def _llm_type(self) -> str:
        return "front-desk-rules"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "house": self.house,
            "rules": sorted(self.rules.items()),
            "otherwise": self.otherwise,
        }

    def _arithmetic(self, asked: str) -> Optional[str]:
        for found in _SUM.findall(asked):
            if not re.search(r"[+*/-]", found) or len(found) > 200:
                continue
            try:
                return f"That makes {_value(ast.parse(found.strip(), mode='eval')):g}."
            except ZeroDivisionError:
                return "That cannot be divided."
            except (ValueError, SyntaxError, OverflowError, RecursionError):
                continue
        return None

    def _call(
        self,
        messages: list[BaseMessage],
        stop: Optional[list[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> str:
        for message in messages:
            if not isinstance(message.content, str) and any(
                isinstance(b, dict) and b.get("type") != "text" for b in message.content
            ):
                raise NotImplementedError("FrontDeskRules reads text only.")
        asked = next(
            (m.text for m in reversed(messages) if isinstance(m, HumanMessage)), ""
        ).strip()
        if not asked:
            raise ValueError("FrontDeskRules needs a human message.")
        answer = self._arithmetic(asked)
        if answer is None:
            for pattern, reply in self.rules.items():
                if match := re.search(pattern, asked, re.IGNORECASE):
                    answer = reply.format_map(
                        {"house": self.house, "asked": asked, **match.groupdict()}
                    )
                    break
            else:
                answer = self.otherwise.format_map({"house": self.house, "asked": asked})
        if any(isinstance(m, SystemMessage) and "upper case" in m.text.lower() for m in messages):
            answer = answer.upper()
        cuts = [answer.index(s) for s in stop or [] if s and s in answer]
        return answer[: min(cuts)] if cuts else answer
