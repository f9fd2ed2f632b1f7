"""An Ollama model whose async methods are the sync ones with `async` in front.

Modelled on: web back ends (FastAPI and the like) whose chat model was made async by adding `async def`
around `requests`.

What is wrong: `_agenerate` and `_astream` block the event loop for as long as the LLM takes. While one user
waits for an answer, the whole server stands still: ten requests take ten times as long, and health checks,
timeouts and cancels do not work.

FAULT: the async methods use a blocking HTTP client on the event loop, so nothing else runs and calls are serialized.
MODEL: OllamaWebChat
KWARGS: {}
WIRE: ollama
"""

import json
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

import requests
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class OllamaWebChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:11434"
    model: str = "mistral"
    temperature: float = 0.3
    timeout: float = 120

    @property
    def _llm_type(self) -> str:
        return "ollama-web"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def _payload(self, messages: List[BaseMessage], stop, stream: bool, kwargs) -> Dict[str, Any]:
        if kwargs.get("tools"):
            raise NotImplementedError("tools are not supported by OllamaWebChat")
        converted = []
        for message in messages:
            if isinstance(message, SystemMessage):
                role = "system"
            elif isinstance(message, HumanMessage):
                role = "user"
            elif isinstance(message, AIMessage):
                role = "assistant"
            else:
                raise ValueError(f"unsupported message type {message.type}")
            converted.append({"role": role, "content": str(message.text)})
        options: Dict[str, Any] = {"temperature": kwargs.get("temperature", self.temperature)}
        if kwargs.get("max_tokens") is not None:
            options["num_predict"] = kwargs["max_tokens"]
        if stop:
            options["stop"] = stop
        return {
            "model": kwargs.get("model", self.model),
            "messages": converted,
            "stream": stream,
            "options": options,
        }

    def _usage(self, data):
        if "eval_count" not in data:
            return None
        read, written = data.get("prompt_eval_count", 0), data["eval_count"]
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        response = requests.post(
            f"{self.base_url}/api/chat",
            json=self._payload(messages, stop, False, kwargs),
            timeout=self.timeout,
        )
        response.raise_for_status()
        data = response.json()
        message = AIMessage(
            content=data["message"]["content"],
            usage_metadata=self._usage(data),
            response_metadata={"model_name": data["model"], "done_reason": data.get("done_reason")},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop=stop, **kwargs)

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with requests.post(
            f"{self.base_url}/api/chat",
            json=self._payload(messages, stop, True, kwargs),
            stream=True,
            timeout=self.timeout,
        ) as response:
            response.raise_for_status()
            for line in response.iter_lines(chunk_size=None):
                if not line:
                    continue
                data = json.loads(line)
                if "error" in data:
                    raise RuntimeError(data["error"])
                info = None
                if data.get("done"):
                    info = {"model_name": data["model"], "done_reason": data.get("done_reason")}
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=data["message"]["content"], usage_metadata=self._usage(data)
                    ),
                    generation_info=info,
                )

    async def _astream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[AsyncCallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop=stop, **kwargs):
            yield chunk
