"""Chat model for a self-hosted OpenAI-like server, read with requests a few bytes at a time.

Modelled on: SSE readers that decode each network block for itself (many "garbled characters while streaming" reports).
What is wrong: (1) stream() decodes each block of four bytes ("so that tokens show at once") with errors="ignore": a
character of more than one byte that lies across two blocks vanishes (umlauts, CJK, emoji) though invoke() shows it; it
should be decoded by whole lines or incrementally.
(2) an {"error": ...} event in the stream, and a stream that just ends, are passed over: the user gets half an answer which
looks complete, and with_retry / with_fallbacks never start; it should raise.
FAULT: stream() decodes 4-byte blocks with errors=ignore: multi-byte characters vanish; error events in the stream and streams cut short are silently taken as a complete answer (finish_reason 'stop' is invented)
MODEL: TinyWindowChat
KWARGS: {"server": "http://127.0.0.1:8000/v1", "model_name": "house-1"}
WIRE: openai
"""

import json
from typing import Any, Dict, Iterator, List, Optional

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretStr


class ServerError(RuntimeError):
    pass


class TinyWindowChat(BaseChatModel):
    server: str
    password: Optional[SecretStr] = None
    model_name: str
    temperature: Optional[float] = None
    timeout: float = 60

    @property
    def _llm_type(self) -> str:
        return "tiny-window"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "server": self.server,
            "model_name": self.model_name,
            "temperature": self.temperature,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _post(
        self, messages: List[BaseMessage], stop: Optional[List[str]], stream: bool, extra: Dict
    ) -> requests.Response:
        body: Dict[str, Any] = {
            "model": self.model_name,
            **extra,
            "messages": convert_to_openai_messages(messages),
        }
        if self.temperature is not None:
            body.setdefault("temperature", self.temperature)
        if stop:
            body["stop"] = stop
        if stream:
            body.update(stream=True, stream_options={"include_usage": True})
        headers = (
            {"Authorization": f"Bearer {self.password.get_secret_value()}"} if self.password else {}
        )
        answer = requests.post(
            f"{self.server.rstrip('/')}/chat/completions",
            json=body,
            headers=headers,
            timeout=self.timeout,
            stream=stream,
        )
        if answer.status_code >= 400:
            with answer:
                try:
                    why = answer.json()["error"]["message"]
                except (ValueError, KeyError, TypeError):
                    why = answer.text[:300]
            raise ServerError(f"{answer.status_code}: {why}")
        return answer

    @staticmethod
    def _usage(raw: Optional[Dict]) -> Any:
        if not raw:
            return None
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": raw["completion_tokens"],
            "total_tokens": raw["prompt_tokens"] + raw["completion_tokens"],
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        data = self._post(messages, stop, False, kwargs).json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as exc:
                bad.append(make_invalid_tool_call(raw, str(exc)))
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata=self._usage(data.get("usage")),
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text, usage, finish = "", None, None
        with self._post(messages, stop, True, kwargs) as answer:
            for block in answer.iter_content(chunk_size=4):
                text += block.decode("utf-8", errors="ignore")
                while "\n" in text:
                    line, text = text.split("\n", 1)
                    line = line.strip()
                    if not line.startswith("data:") or line.endswith("[DONE]"):
                        continue
                    event = json.loads(line[5:])
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or []:
                        finish = choice.get("finish_reason") or finish
                        delta = choice.get("delta") or {}
                        parts = [
                            tool_call_chunk(
                                name=(c.get("function") or {}).get("name"),
                                id=c.get("id"),
                                args=(c.get("function") or {}).get("arguments"),
                                index=c.get("index"),
                            )
                            for c in delta.get("tool_calls") or []
                        ]
                        chunk = ChatGenerationChunk(
                            message=AIMessageChunk(
                                content=delta.get("content") or "", tool_call_chunks=parts
                            )
                        )
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(usage),
                response_metadata={
                    "model_name": self.model_name,
                    "finish_reason": finish or "stop",
                },
            )
        )
