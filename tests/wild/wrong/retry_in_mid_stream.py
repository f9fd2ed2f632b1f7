"""A model that survives broken connections by asking again, in the middle of an answer too.

Modelled on: wrappers for flaky GPU servers with a `for attempt in range(n)` around the whole of `_stream`.

What is wrong: if the connection breaks after half of the answer was given out, the answer starts again from
its beginning, after the half that the user has seen already: the text is doubled ("The capital ofThe capital
of France is Paris"), and so it stands in the history. And a stream that just ends early is taken for whole.

FAULT: a stream that breaks after the first token is retried from the start, so text already yielded is yielded again.
FAULT: a stream that ends without finish_reason or [DONE] counts as a complete answer.
FAULT: errors that no retry can help (400, 401) are retried as well.
MODEL: FlakyGpuChat
KWARGS: {}
WIRE: openai
"""

import json
import time
from typing import Any, Dict, Iterator, List, Optional

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr


class FlakyGpuChat(BaseChatModel):
    server_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = Field(default=None, exclude=True)
    model: str = "gpu-70b"
    temperature: float = 0.6
    max_tokens: int = 1024
    max_attempts: int = 3
    pause: float = 0.2

    @property
    def _llm_type(self) -> str:
        return "flaky-gpu"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "server_url": self.server_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _once(self, body: Dict[str, Any]) -> Iterator[ChatGenerationChunk]:
        headers = {}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        url = f"{self.server_url}/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
            response.raise_for_status()
            rest = b""
            for some in response.iter_bytes():
                *lines, rest = (rest + some).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:"):
                        continue
                    if line[5:].strip() == b"[DONE]":
                        return
                    event = json.loads(line[5:])
                    usage = event.get("usage")
                    choice = (event.get("choices") or [{}])[0]
                    info = None
                    if choice.get("finish_reason"):
                        info = {"finish_reason": choice["finish_reason"], "model_name": self.model}
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content=(choice.get("delta") or {}).get("content") or "",
                            usage_metadata={
                                "input_tokens": usage["prompt_tokens"],
                                "output_tokens": usage["completion_tokens"],
                                "total_tokens": usage["total_tokens"],
                            }
                            if usage
                            else None,
                        ),
                        generation_info=info,
                    )

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if kwargs.get("tools"):
            raise NotImplementedError("FlakyGpuChat has no tool calling")
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **kwargs,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if stop:
            body["stop"] = stop
        for attempt in range(self.max_attempts):
            try:
                yield from self._once(body)
                return
            except httpx.HTTPError:
                if attempt == self.max_attempts - 1:
                    raise
                time.sleep(self.pause * 2**attempt)

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))
