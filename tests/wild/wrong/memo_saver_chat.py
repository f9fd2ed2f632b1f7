"""Chat model that saves money by remembering answers itself (a memo inside the instance).

Modelled on: cost-saving wrappers with a private answer cache, and bug reports of cache keys that omit parameters.
What is wrong: (1) the memo's key is the bare text of the messages: other stop words, temperature, tools, forced tool choice or
roles (who said it) get the first call's answer - an agent with tools bound receives the old plain text; everything sent belongs in the key.
(2) a hit gives out the very same message object: changing one answer changes the memo, both answers carry one id (LangGraph's
add_messages then overwrites the earlier one) and the usage is billed again for a call never made; a hit should be a fresh copy with no usage.
FAULT: own cache keyed by message text only: stop, tools, tool_choice, temperature kwargs and roles are ignored; a cache hit returns the same message object (same id, usage counted again, mutations leak)
MODEL: MemoSaverChat
KWARGS: {"base_url": "http://127.0.0.1:8000/v1", "api_key": "k", "model": "house-1"}
WIRE: openai
"""

from __future__ import annotations

import hashlib
import ssl
from collections import OrderedDict
from typing import Any, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr, SecretStr

_TLS = ssl.create_default_context()


class SaverError(RuntimeError):
    pass


class MemoSaverChat(BaseChatModel):
    base_url: str
    api_key: SecretStr
    model: str
    temperature: Optional[float] = None
    timeout: float = 60.0
    remember: int = Field(
        default=256, ge=0, description="how many answers to keep; 0 switches the memo off"
    )
    _memo: OrderedDict[str, ChatResult] = PrivateAttr(default_factory=OrderedDict)

    @property
    def _llm_type(self) -> str:
        return "memo-saver"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "temperature": self.temperature}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    # ---- the memo -------------------------------------------------------------------------------
    @staticmethod
    def _key(messages: list[BaseMessage]) -> str:
        return hashlib.sha256("\n".join(str(m.content) for m in messages).encode()).hexdigest()

    def _recall(self, key: str) -> Optional[ChatResult]:
        result = self._memo.get(key)
        if result is not None:
            self._memo.move_to_end(key)
        return result

    def _keep(self, key: str, result: ChatResult) -> ChatResult:
        if self.remember:
            self._memo[key] = result
            while len(self._memo) > self.remember:
                self._memo.popitem(last=False)
        return result

    # ---- the wire -------------------------------------------------------------------------------
    def _request(
        self, messages: list[BaseMessage], stop: Optional[list[str]], kwargs: dict
    ) -> dict[str, Any]:
        body = {
            "model": self.model,
            "temperature": self.temperature,
            "stop": stop or None,
            **kwargs,
            "messages": convert_to_openai_messages(messages),
        }
        return {
            "url": f"{self.base_url.rstrip('/')}/chat/completions",
            "json": {k: v for k, v in body.items() if v is not None},
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
        }

    def _result(self, response: httpx.Response) -> ChatResult:
        if response.is_error:
            try:
                reason = response.json()["error"]["message"]
            except (ValueError, KeyError, TypeError):
                reason = response.text[:300]
            raise SaverError(f"HTTP {response.status_code}: {reason}")
        data = response.json()
        choice = data["choices"][0]
        calls, bad = [], []
        for raw in choice["message"].get("tool_calls") or []:
            try:
                calls.append(parse_tool_call(raw, return_id=True))
            except Exception as exc:
                bad.append(make_invalid_tool_call(raw, str(exc)))
        u = data.get("usage")
        usage = u and {
            "input_tokens": u["prompt_tokens"],
            "output_tokens": u["completion_tokens"],
            "total_tokens": u["prompt_tokens"] + u["completion_tokens"],
        }
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=choice["message"].get("content") or "",
                        tool_calls=calls,
                        invalid_tool_calls=bad,
                        usage_metadata=usage,
                        response_metadata={
                            "model_name": data.get("model"),
                            "finish_reason": choice.get("finish_reason"),
                        },
                    )
                )
            ]
        )

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        key = self._key(messages)
        if known := self._recall(key):
            return known
        with httpx.Client(verify=_TLS, timeout=self.timeout) as http:
            return self._keep(key, self._result(http.post(**self._request(messages, stop, kwargs))))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        key = self._key(messages)
        if known := self._recall(key):
            return known
        async with httpx.AsyncClient(verify=_TLS, timeout=self.timeout) as http:
            return self._keep(
                key, self._result(await http.post(**self._request(messages, stop, kwargs)))
            )
