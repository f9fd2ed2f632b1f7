"""A Responses model that remembers the last response id on itself, and sends the last message alone.

Modelled on: 2025 wrappers that moved to OpenAI's Responses to save tokens: `previous_response_id` is kept on the
instance, and from the second call on nothing but the newest message is sent.
Wrong: the model is shared (a server, batch, two chains), so one user's question continues another user's
conversation; a call that brings a history of its own has it dropped.
FAULT: the conversation's id is kept on the model, so calls that have nothing to do with each other are chained.
FAULT: after the first call the messages that the caller gives are dropped, but for the last.
MODEL: ChatThread
KWARGS: {}
WIRE: responses
"""

from typing import Any, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr, SecretStr

_ROLES = {"system": "developer", "human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


class ChatThread(BaseChatModel):
    model: str = "gpt-5-mini"
    base_url: str = "https://api.openai.com/v1"
    api_key: SecretStr = SecretStr("none")
    max_output_tokens: Optional[int] = None

    _previous_response_id: Optional[str] = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "thread-responses"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "base_url": self.base_url,
            "max_output_tokens": self.max_output_tokens,
        }

    def _body(self, messages, stop, kwargs):
        if stop:
            raise NotImplementedError("Responses has no stop sequences.")
        items = []
        for m in messages:
            if m.type not in _ROLES:
                raise NotImplementedError("ChatThread has no tools.")
            items.append({"role": _ROLES[m.type], "content": m.text})
        body: dict[str, Any] = {"model": kwargs.get("model") or self.model}
        limit = kwargs.get("max_tokens") or self.max_output_tokens
        if limit:
            body["max_output_tokens"] = limit
        if kwargs.get("temperature") is not None:
            body["temperature"] = kwargs["temperature"]
        if self._previous_response_id:
            body["previous_response_id"] = self._previous_response_id
            body["input"] = items[-1:]
        else:
            body["input"] = items
        return body

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        self._previous_response_id = data["id"]
        text = "".join(
            part["text"]
            for item in data["output"]
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == "output_text"
        )
        usage = data["usage"]
        message = AIMessage(
            content=text,
            usage_metadata={
                "input_tokens": usage["input_tokens"],
                "output_tokens": usage["output_tokens"],
                "total_tokens": usage["total_tokens"],
            },
            response_metadata={
                "model_name": data["model"],
                "id": data["id"],
                "status": data["status"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _call(self) -> dict[str, Any]:
        return {
            "url": f"{self.base_url}/responses",
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=60) as client:
            return self._result(
                client.post(**self._call(), json=self._body(messages, stop, kwargs))
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=60) as client:
            return self._result(
                await client.post(**self._call(), json=self._body(messages, stop, kwargs))
            )
