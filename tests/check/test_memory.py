"""A model that no script reaches is asked whether it remembers other conversations."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from chatwright.checks import Verdict, check


class Session(BaseChatModel):
    """It says what it was told, and what it was told before where it `remembers`."""

    remembers: bool
    _turns: list = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self):
        return "session"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self._turns.append(messages[-1].text)
        text = " | ".join(self._turns if self.remembers else self._turns[-1:])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


@pytest.mark.parametrize(("remembers", "verdict"), [(True, Verdict.FAIL), (False, Verdict.PASS)])
def test_memory_is_found_in_a_live_model(remembers, verdict):
    report = check(Session, kwargs={"remembers": remembers}, only=["E7"])
    (found,) = report.findings
    assert (found.layer, found.verdict, report.calls) == ("live", verdict, 2)
