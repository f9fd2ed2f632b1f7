"""A model with tools whose conversion of messages knows three roles.

Modelled on: custom models that got `bind_tools` from a forum answer, while the loop over messages still ends
in `else: role = "user"`.

What is wrong: the first tool call works, and the second turn of an agent does not: the assistant's tool call
is sent back as an empty text, and the tool's result as something the person said, without its id. Strict
servers refuse the request; others call the same tool again and again.

FAULT: tool results are sent as user messages without tool_call_id.
FAULT: tool calls of earlier assistant messages are dropped from the history.
FAULT: arguments that are not valid JSON raise a JSONDecodeError out of the model instead of an invalid tool call.
MODEL: HelpdeskChat
KWARGS: {}
WIRE: openai
"""

import json
from typing import Any, Dict, Iterator, List, Optional

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SecretStr


class HelpdeskChat(BaseChatModel):
    endpoint: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = Field(default=None, exclude=True)
    model: str = "helpdesk-chat"
    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "helpdesk"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"endpoint": self.endpoint, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs: Any):
        if tool_choice in ("any", True):
            tool_choice = "required"
        if isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    def _convert(self, messages: List[BaseMessage]) -> List[Dict[str, Any]]:
        out = []
        for m in messages:
            if isinstance(m, SystemMessage):
                role = "system"
            elif isinstance(m, HumanMessage):
                role = "user"
            elif isinstance(m, AIMessage):
                role = "assistant"
            else:
                role = "user"
            out.append({"role": role, "content": m.content})
        return out

    def _body(self, messages, stop, kwargs) -> Dict[str, Any]:
        body = {
            "model": self.model,
            "messages": self._convert(messages),
            "temperature": self.temperature,
            **kwargs,
        }
        body.pop("stream", None)
        if stop:
            body["stop"] = stop
        return body

    def _post_args(self, body):
        headers = {}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        return {
            "url": f"{self.endpoint}/chat/completions",
            "json": body,
            "headers": headers,
            "timeout": 60,
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        response = httpx.post(**self._post_args(self._body(messages, stop, kwargs)))
        response.raise_for_status()
        data = response.json()
        said = data["choices"][0]["message"]
        calls = [
            {
                "name": c["function"]["name"],
                "args": json.loads(c["function"]["arguments"]),
                "id": c["id"],
                "type": "tool_call",
            }
            for c in said.get("tool_calls") or []
        ]
        usage = data.get("usage")
        message = AIMessage(
            content=said.get("content") or "",
            tool_calls=calls,
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": data["choices"][0].get("finish_reason"),
            },
            usage_metadata=self._usage(usage),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @staticmethod
    def _usage(usage):
        if not usage:
            return None
        return {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        }

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        body = self._body(messages, stop, kwargs)
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
        finished = False
        with httpx.stream("POST", **self._post_args(body)) as response:
            response.raise_for_status()
            rest = b""
            for some in response.iter_bytes():
                *lines, rest = (rest + some).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
                        continue
                    event = json.loads(line[5:])
                    if event.get("error"):
                        raise RuntimeError(str(event["error"]))
                    choice = (event.get("choices") or [{}])[0]
                    delta = choice.get("delta") or {}
                    info = None
                    if choice.get("finish_reason"):
                        finished = True
                        info = {
                            "finish_reason": choice["finish_reason"],
                            "model_name": event.get("model"),
                        }
                    yield ChatGenerationChunk(
                        message=AIMessageChunk(
                            content=delta.get("content") or "",
                            tool_call_chunks=[
                                {
                                    "name": c["function"].get("name"),
                                    "args": c["function"].get("arguments"),
                                    "id": c.get("id"),
                                    "index": c["index"],
                                    "type": "tool_call_chunk",
                                }
                                for c in delta.get("tool_calls") or []
                            ],
                            usage_metadata=self._usage(event.get("usage")),
                        ),
                        generation_info=info,
                    )
        if not finished:
            raise RuntimeError("The stream ended before the answer did")
