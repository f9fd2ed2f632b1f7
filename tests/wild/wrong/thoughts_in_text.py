"""A reasoning model's gateway class that streams the thoughts as text.

Modelled on: the many 2025 wrappers for DeepSeek-R1-like servers with `delta.content or delta.reasoning_content`
in them, so that "something moves" while the model thinks.
Wrong: what streams is thoughts and answer in one string, what invoke gives is the answer alone. The user of an app
that streams sees the thoughts as answer, they go into the history and into parsers, and structured or JSON output
that streams does not parse.
FAULT: streamed text has the reasoning in it, where invoke has it not.
MODEL: ChatPonder
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SecretStr


class ChatPonder(BaseChatModel):
    model_name: str = "ponder-r1"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.6

    @property
    def _llm_type(self) -> str:
        return "ponder"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "base_url": self.base_url,
            "temperature": self.temperature,
        }

    def _body(self, messages, stop, stream, kwargs):
        body = {"model": self.model_name, "temperature": self.temperature, "stop": stop or None}
        body.update(kwargs)
        body = {k: v for k, v in body.items() if v is not None and k != "stream"}
        body["messages"] = convert_to_openai_messages(messages)
        if stream:
            body.update(stream=True, stream_options={"include_usage": True})
        return body

    def _post(self) -> dict[str, Any]:
        return {
            "url": f"{self.base_url}/chat/completions",
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    @staticmethod
    def _usage(raw):
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["total_tokens"],
        }

    def _result(self, response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        raw = data["choices"][0]["message"]
        message = AIMessage(
            content=raw.get("content") or "",
            additional_kwargs={"reasoning_content": raw["reasoning_content"]}
            if raw.get("reasoning_content")
            else {},
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data["model"],
                "finish_reason": data["choices"][0]["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line):
        if not line.startswith("data:") or line.endswith("[DONE]"):
            return None
        data = json.loads(line[5:])
        if data.get("error"):
            raise RuntimeError(f"The server broke off: {data['error']}")
        chunk = AIMessageChunk(content="", usage_metadata=self._usage(data.get("usage")))
        if data.get("choices"):
            choice = data["choices"][0]
            delta = choice["delta"]
            chunk.content = delta.get("content") or delta.get("reasoning_content") or ""
            if choice.get("finish_reason"):
                chunk.response_metadata = {
                    "model_name": data["model"],
                    "finish_reason": choice["finish_reason"],
                }
        return ChatGenerationChunk(message=chunk)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=120) as client:
            return self._result(
                client.post(**self._post(), json=self._body(messages, stop, False, kwargs))
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=120) as client:
            return self._result(
                await client.post(**self._post(), json=self._body(messages, stop, False, kwargs))
            )

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        body = self._body(messages, stop, True, kwargs)
        with (
            httpx.Client(timeout=120) as client,
            client.stream("POST", **self._post(), json=body) as response,
        ):
            response.raise_for_status()
            for line in response.iter_lines():
                if chunk := self._chunk(line):
                    yield chunk

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        body = self._body(messages, stop, True, kwargs)
        async with (
            httpx.AsyncClient(timeout=120) as client,
            client.stream("POST", **self._post(), json=body) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                if chunk := self._chunk(line):
                    yield chunk
