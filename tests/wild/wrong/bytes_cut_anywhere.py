"""An Ollama model that takes each piece from the network for a line of its own.

Modelled on: streaming code in small repositories and forum answers: `for chunk in response.iter_content(...)`,
`chunk.decode("utf-8", errors="ignore")`, `json.loads`, and `except json.JSONDecodeError: continue`.

What is wrong: on a fast local connection it works. Where the network cuts a line in two, both halves are no
JSON and are skipped without a word: words are missing from the middle of an answer; where it cuts a letter
in two (umlauts, Chinese, emoji), the letter is gone. If the last piece is lost, so are usage and the reason
for the end. `invoke` is put together from the same stream, and loses the same.

FAULT: streamed bytes are parsed by network piece and not by line, and pieces that do not parse are dropped, so text is lost.
FAULT: bytes are decoded piece by piece with errors="ignore", so multi-byte characters at a border vanish.
MODEL: TinyOllamaChat
KWARGS: {}
WIRE: ollama
"""

import json
from typing import Any, Dict, Iterator, List, Optional

import requests
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult


class TinyOllamaChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:11434"
    model: str = "phi3"
    temperature: float = 0.7

    @property
    def _llm_type(self) -> str:
        return "tiny-ollama"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def _convert(self, messages: List[BaseMessage]) -> List[Dict[str, str]]:
        out = []
        for m in messages:
            if isinstance(m, SystemMessage):
                role = "system"
            elif isinstance(m, HumanMessage):
                role = "user"
            elif isinstance(m, AIMessage):
                role = "assistant"
            else:
                raise ValueError(f"unsupported message {m.type}")
            out.append({"role": role, "content": str(m.text)})
        return out

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if kwargs.get("tools"):
            raise NotImplementedError("TinyOllamaChat has no tools")
        options: Dict[str, Any] = {"temperature": kwargs.get("temperature", self.temperature)}
        if kwargs.get("max_tokens") is not None:
            options["num_predict"] = kwargs["max_tokens"]
        if stop:
            options["stop"] = stop
        with requests.post(
            f"{self.base_url}/api/chat",
            json={
                "model": kwargs.get("model", self.model),
                "messages": self._convert(messages),
                "options": options,
                "stream": True,
            },
            stream=True,
            timeout=120,
        ) as response:
            response.raise_for_status()
            for piece in response.iter_content(chunk_size=None):
                for line in piece.decode("utf-8", errors="ignore").split("\n"):
                    if not line.strip():
                        continue
                    try:
                        data = json.loads(line)
                    except json.JSONDecodeError:
                        continue
                    if not isinstance(data, dict) or "message" not in data:
                        continue
                    info, usage = None, None
                    if data.get("done"):
                        info = {"model_name": data["model"], "done_reason": data.get("done_reason")}
                        read, written = data.get("prompt_eval_count", 0), data.get("eval_count", 0)
                        usage = {
                            "input_tokens": read,
                            "output_tokens": written,
                            "total_tokens": read + written,
                        }
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content=data["message"]["content"], usage_metadata=usage
                        ),
                        generation_info=info,
                    )

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))
