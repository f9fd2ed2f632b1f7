"""A vendor's chat model that identifies itself by all of its fields, the key among them.

Modelled on: vendor and community integrations (watsonx-, MariTalk- and GigaChat-like) with `apikey: str` and an
`_identifying_params` that hands out the fields as they are.
Wrong: the key stands in clear text in repr and logs, in every trace (invocation params), in the cache's database.
FAULT: the API key is a plain str and goes into _identifying_params, so it is in traces, cache keys and repr.
MODEL: ChatLighthouse
KWARGS: {"apikey": "lh-key-123456789"}
WIRE: openai
"""

import json
from typing import Any, Optional

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool


class ChatLighthouse(BaseChatModel):
    apikey: str
    url: str = "http://localhost:8200/v1"
    model_id: str = "lighthouse-3-8b"
    project_id: Optional[str] = None
    temperature: float = 0.1
    max_new_tokens: int = 512

    @property
    def _llm_type(self) -> str:
        return "lighthouse-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "apikey": self.apikey,
            "url": self.url,
            "model_id": self.model_id,
            "project_id": self.project_id,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
        }

    def _get_ls_params(self, stop=None, **kwargs):
        params = super()._get_ls_params(stop=stop, **kwargs)
        params.setdefault("ls_model_name", self.model_id)
        params.setdefault("ls_max_tokens", self.max_new_tokens)
        return params

    def _body(self, messages, stop, kwargs):
        body = {
            "model": self.model_id,
            "temperature": self.temperature,
            "max_tokens": self.max_new_tokens,
        }
        if self.project_id:
            body["project_id"] = self.project_id
        body.update({k: v for k, v in kwargs.items() if k != "stream" and v is not None})
        body["messages"] = convert_to_openai_messages(messages)
        if stop:
            body["stop"] = stop
        return body

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        choice = data["choices"][0]
        usage = data["usage"]
        message = AIMessage(
            content=choice["message"].get("content") or "",
            tool_calls=[
                {
                    "name": c["function"]["name"],
                    "args": json.loads(c["function"]["arguments"] or "{}"),
                    "id": c["id"],
                }
                for c in choice["message"].get("tool_calls") or []
            ],
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            },
            response_metadata={
                "model_name": data["model"],
                "finish_reason": choice["finish_reason"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _call(self) -> dict[str, Any]:
        return {
            "url": f"{self.url}/chat/completions",
            "headers": {"Authorization": f"Bearer {self.apikey}"},
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

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif isinstance(tool_choice, str) and tool_choice not in ("auto", "none", "required"):
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)
