"""OpenAI's Responses with the last response's id kept on the model.

Modelled on: private classes of 2025 and 2026 that take up `previous_response_id`, and keep it in an attribute,
so that "the server remembers the conversation".

Wrong: what the server remembers belongs to the model object and not to a conversation. The user feels it with
the second conversation: answers know what another user said, threads of a batch mix, a retry answers another
question; besides, the history that LangChain sends is there twice. And an answer that the server ended for want
of tokens, or that failed, passes for a whole one.

FAULT: The id of the last response is kept on the instance and sent with the next call, whichever conversation that is.
FAULT: A response whose status is failed gives an empty answer, and no error; one that is incomplete is not told from a whole one.
MODEL: ChatResponsesStateful
KWARGS: {}
WIRE: responses
"""

from __future__ import annotations

import json
from typing import Any, Sequence

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SecretStr


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") != "text":
                raise ValueError(f"this class sends text only, not {block.get('type')!r}")
    return message.text


class ChatResponsesStateful(BaseChatModel):
    model: str = "gpt-house"
    base_url: str = "http://localhost:8000/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float | None = None
    timeout: float = 60.0
    _last_response_id: str | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "responses-stateful"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "temperature": self.temperature}

    def _payload(self, messages: list[BaseMessage], kwargs: dict) -> dict:
        items: list[dict[str, Any]] = []
        for m in messages:
            if isinstance(m, ToolMessage):
                items.append(
                    {"type": "function_call_output", "call_id": m.tool_call_id, "output": _text(m)}
                )
            elif isinstance(m, AIMessage):
                if m.text:
                    items.append({"role": "assistant", "content": m.text})
                for c in m.tool_calls:
                    items.append(
                        {
                            "type": "function_call",
                            "call_id": c["id"],
                            "name": c["name"],
                            "arguments": json.dumps(c["args"]),
                        }
                    )
            else:
                items.append({"role": {"human": "user"}.get(m.type, m.type), "content": _text(m)})
        payload = {
            "model": self.model,
            "input": items,
            "temperature": self.temperature,
            "previous_response_id": self._last_response_id,
            **{k: v for k, v in kwargs.items() if k != "stream"},
        }
        return {k: v for k, v in payload.items() if v is not None}

    def _request(self) -> dict[str, Any]:
        return {
            "url": self.base_url.rstrip("/") + "/responses",
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    def _result(self, response: httpx.Response, stop: list[str] | None) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        self._last_response_id = data["id"]
        text, calls, bad = "", [], []
        for item in data["output"]:
            if item["type"] == "message":
                text += "".join(p["text"] for p in item["content"] if p["type"] == "output_text")
            elif item["type"] == "function_call":
                try:
                    calls.append(
                        tool_call(
                            name=item["name"],
                            args=json.loads(item["arguments"]),
                            id=item["call_id"],
                        )
                    )
                except ValueError as e:
                    bad.append(
                        invalid_tool_call(
                            name=item["name"],
                            args=item["arguments"],
                            id=item["call_id"],
                            error=str(e),
                        )
                    )
        for word in stop or []:
            text = text.split(word)[0]
        usage = data.get("usage")
        message = AIMessage(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=bad,
            usage_metadata={k: usage[k] for k in ("input_tokens", "output_tokens", "total_tokens")}
            if usage
            else None,
            response_metadata={"id": data["id"], "model_name": data["model"]},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        with httpx.Client(timeout=self.timeout) as client:
            return self._result(
                client.post(**self._request(), json=self._payload(messages, kwargs)), stop
            )

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        async with httpx.AsyncClient(timeout=self.timeout) as client:
            return self._result(
                await client.post(**self._request(), json=self._payload(messages, kwargs)), stop
            )

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any):
        flat = [{"type": "function", **convert_to_openai_tool(t)["function"]} for t in tools]
        if tool_choice == "any":
            tool_choice = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            tool_choice = {"type": "function", "name": tool_choice}
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=flat, **kwargs)
