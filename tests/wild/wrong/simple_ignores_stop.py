"""A SimpleChatModel for an in-house server which passes on the messages and nothing else.

Modelled on: many a project's first wrapper: `_call(self, messages, stop=None, run_manager=None, **kwargs)`
with a body that reads `messages` alone.

What is wrong: `stop` does nothing, so ReAct and SQL chains get the "Observation:" that the LLM makes up, and
`model.bind(temperature=0)` or `invoke(..., max_tokens=5)` change nothing, without a word. Of a message with
blocks, only the first text is sent.

FAULT: stop sequences are accepted and neither sent nor enforced.
FAULT: parameters per call (temperature, max_tokens, model) are accepted and ignored.
FAULT: of content that is a list of blocks only the first text is sent; the rest is dropped silently.
MODEL: InHouseChat
KWARGS: {}
WIRE: openai
"""

from typing import Any, List, Optional

import requests
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from pydantic import SecretStr

ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class InHouseChat(SimpleChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_token: Optional[SecretStr] = None
    model_name: str = "inhouse-13b"
    temperature: float = 0.4

    @property
    def _llm_type(self) -> str:
        return "inhouse"

    @property
    def _identifying_params(self):
        return {
            "base_url": self.base_url,
            "model_name": self.model_name,
            "temperature": self.temperature,
        }

    def _content(self, message: BaseMessage) -> str:
        if isinstance(message.content, str):
            return message.content
        first = message.content[0] if message.content else ""
        return first if isinstance(first, str) else first.get("text", "")

    def _call(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> str:
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        headers = {}
        if self.api_token:
            headers["Authorization"] = f"Bearer {self.api_token.get_secret_value()}"
        response = requests.post(
            url,
            headers=headers,
            json={
                "model": self.model_name,
                "temperature": self.temperature,
                "messages": [
                    {"role": ROLES[m.type], "content": self._content(m)} for m in messages
                ],
            },
            timeout=60,
        )
        response.raise_for_status()
        return response.json()["choices"][0]["message"]["content"]
