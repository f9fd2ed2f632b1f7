"""Anthropic's Messages by hand, with the usage of every event put on every chunk.

Modelled on: Bedrock and gateway adapters (and an open issue of LangChain's own) which attach the usage that
they know of to each streamed chunk.

What is wrong: LangChain adds the usage of the chunks up. Each text chunk carries the input tokens again, so
a streamed answer of 40 chunks costs 40 times its prompt in dashboards and budgets; `invoke` is right, so
nobody sees why.

FAULT: every streamed chunk repeats the (cumulative) usage, so the sum over a stream is many times the true one.
MODEL: LedgerClaude
KWARGS: {}
WIRE: anthropic
"""

import json
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr


class LedgerClaude(BaseChatModel):
    base_url: str = "http://127.0.0.1:8082"
    api_key: SecretStr = Field(default=SecretStr("none"), exclude=True)
    model: str = "claude-haiku"
    max_tokens: int = 1024
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "ledger-claude"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "max_tokens": self.max_tokens}

    def _request(self, messages: List[BaseMessage], stop, kwargs, stream: bool) -> Dict[str, Any]:
        if kwargs.get("tools"):
            raise NotImplementedError("LedgerClaude has no tools")
        turns: List[Dict[str, Any]] = []
        system = []
        for message in messages:
            if message.type not in ("system", "human", "ai"):
                raise ValueError(f"LedgerClaude cannot send {message.type} messages")
            if isinstance(message.content, list) and any(
                not isinstance(b, str) and b.get("type") != "text" for b in message.content
            ):
                raise ValueError("LedgerClaude sends text only")
            text = str(message.text)
            if isinstance(message, SystemMessage):
                system.append(text)
                continue
            role = "assistant" if message.type == "ai" else "user"
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += "\n\n" + text
            else:
                turns.append({"role": role, "content": text})
        body: Dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": turns,
            "stream": stream,
        }
        if system:
            body["system"] = "\n\n".join(system)
        if stop:
            body["stop_sequences"] = stop
        body.update({k: v for k, v in kwargs.items() if v is not None and k != "stream"})
        return {
            "url": f"{self.base_url}/v1/messages",
            "json": body,
            "headers": {
                "x-api-key": self.api_key.get_secret_value(),
                "anthropic-version": "2023-06-01",
            },
        }

    @staticmethod
    def _check(response: httpx.Response) -> None:
        if response.status_code >= 400:
            raise RuntimeError(f"Anthropic API error {response.status_code}: {response.text[:300]}")

    def _result(self, response: httpx.Response) -> ChatResult:
        self._check(response)
        data = response.json()
        usage = data["usage"]
        message = AIMessage(
            content="".join(b["text"] for b in data["content"] if b["type"] == "text"),
            usage_metadata={
                "input_tokens": usage["input_tokens"],
                "output_tokens": usage["output_tokens"],
                "total_tokens": usage["input_tokens"] + usage["output_tokens"],
            },
            response_metadata={"model_name": data["model"], "stop_reason": data["stop_reason"]},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunk(self, line: bytes, seen: Dict[str, Any]) -> Optional[ChatGenerationChunk]:
        if not line.startswith(b"data:"):
            return None
        event = json.loads(line[5:])
        if event["type"] == "error":
            raise RuntimeError(f"Anthropic API error: {event['error']}")
        text, info = "", None
        if event["type"] == "message_start":
            seen.update(event["message"]["usage"])
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            text = event["delta"]["text"]
        elif event["type"] == "message_delta":
            seen.update(event["usage"])
            info = {"stop_reason": event["delta"]["stop_reason"], "model_name": self.model}
        elif event["type"] == "message_stop":
            seen["whole"] = True
            return None
        else:
            return None
        # keep the meter up to date while the answer is being written
        usage = {
            "input_tokens": seen["input_tokens"],
            "output_tokens": seen["output_tokens"],
            "total_tokens": seen["input_tokens"] + seen["output_tokens"],
        }
        return ChatGenerationChunk(
            message=AIMessageChunk(content=text, usage_metadata=usage), generation_info=info
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=self.timeout) as client:
            return self._result(client.post(**self._request(messages, stop, kwargs, False)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._result(await client.post(**self._request(messages, stop, kwargs, False)))

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        seen: Dict[str, Any] = {}
        with httpx.Client(timeout=self.timeout) as client:
            with client.stream("POST", **self._request(messages, stop, kwargs, True)) as response:
                if response.status_code >= 400:
                    response.read()
                self._check(response)
                rest = b""
                for some in response.iter_bytes():
                    *lines, rest = (rest + some).split(b"\n")
                    for line in lines:
                        chunk = self._chunk(line, seen)
                        if chunk:
                            yield chunk
        if not seen.get("whole"):
            raise RuntimeError("Anthropic's stream ended early")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        seen: Dict[str, Any] = {}
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            async with client.stream(
                "POST", **self._request(messages, stop, kwargs, True)
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                self._check(response)
                rest = b""
                async for some in response.aiter_bytes():
                    *lines, rest = (rest + some).split(b"\n")
                    for line in lines:
                        chunk = self._chunk(line, seen)
                        if chunk:
                            yield chunk
        if not seen.get("whole"):
            raise RuntimeError("Anthropic's stream ended early")
