"""A model with a `with_structured_output` of its own: a prompt, and a search for the first brace.

Modelled on: repositories around open models without tool calling, whose structured output is "answer in JSON"
and `re.search(r"{.*}", text)`.

What is wrong: the result is never checked against the schema. A pydantic class is built by `model_construct`,
so required fields may be missing and numbers be strings; where no JSON is found the user gets None, and no
exception; `include_raw=True` is accepted and changes nothing, so code that reads `["parsed"]` breaks.

FAULT: with_structured_output returns unvalidated objects (model_construct) and None instead of an error when parsing fails.
FAULT: include_raw=True is ignored: no dict with raw, parsed and parsing_error.
MODEL: JsonPromptChat
KWARGS: {}
WIRE: openai
"""

import json
import re
from typing import Any, Dict, List, Optional

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field, SecretStr


class JsonPromptChat(BaseChatModel):
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = Field(default=None, exclude=True)
    model: str = "open-13b-instruct"
    temperature: float = 0.0
    max_tokens: Optional[int] = None

    @property
    def _llm_type(self) -> str:
        return "json-prompt-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def with_structured_output(self, schema, *, include_raw: bool = False, **kwargs: Any):
        instruction = (
            "Answer with one JSON object and nothing else. It has to follow this schema: "
            + json.dumps(convert_to_json_schema(schema))
        )

        def ask(value: Any) -> List[BaseMessage]:
            messages = self._convert_input(value).to_messages()
            return [SystemMessage(instruction), *messages]

        def parse(message: AIMessage) -> Any:
            found = re.search(r"\{.*\}", str(message.text), re.DOTALL)
            if not found:
                return None
            try:
                data = json.loads(found.group(0))
            except json.JSONDecodeError:
                return None
            if isinstance(schema, type) and issubclass(schema, BaseModel):
                return schema.model_construct(**data)
            return data

        return RunnableLambda(ask) | self | RunnableLambda(parse)

    def _body(self, messages: List[BaseMessage], stop, kwargs) -> Dict[str, Any]:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or None,
            **kwargs,
        }
        body.pop("stream", None)
        return {k: v for k, v in body.items() if v is not None}

    def _parse(self, response: httpx.Response) -> ChatResult:
        if response.status_code >= 400:
            raise RuntimeError(f"HTTP {response.status_code}: {response.text[:300]}")
        data = response.json()
        usage = data.get("usage")
        message = AIMessage(
            content=data["choices"][0]["message"]["content"] or "",
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": data["choices"][0].get("finish_reason"),
            },
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
            if usage
            else None,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _headers(self) -> Dict[str, str]:
        return (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        with httpx.Client(timeout=60, headers=self._headers()) as client:
            url = f"{self.base_url}/chat/completions"
            return self._parse(client.post(url, json=self._body(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        async with httpx.AsyncClient(timeout=60, headers=self._headers()) as client:
            url = f"{self.base_url}/chat/completions"
            return self._parse(await client.post(url, json=self._body(messages, stop, kwargs)))
