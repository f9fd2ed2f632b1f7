"""A model with a `with_structured_output` of its own, which takes what the author needed and no more.

Modelled on: community classes (LiteLLM-, SambaNova-, Perplexity-like, 2025) that override
`with_structured_output` by "ask for JSON, find the braces, parse", with **kwargs swallowed.
Wrong: `include_raw=True` is swallowed, so code that reads result["raw"] or ["parsing_error"] falls over; and when
the LLM writes no JSON, the result is None and no error: pipelines and agents go on with nothing.
FAULT: with_structured_output ignores include_raw.
FAULT: an answer that can't be parsed becomes None quietly, where the contract has an error.
MODEL: ChatLedger
KWARGS: {}
WIRE: openai
"""

import json
import re
from typing import Any

import httpx
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, SecretStr, ValidationError


class ChatLedger(BaseChatModel):
    model: str = "ledger-mini"
    base_url: str = "http://localhost:8090/v1"
    api_key: SecretStr = SecretStr("none")
    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "ledger"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "base_url": self.base_url, "temperature": self.temperature}

    def _body(self, messages, stop, kwargs):
        body = {"model": self.model, "temperature": self.temperature}
        body.update({k: v for k, v in kwargs.items() if k != "stream" and v is not None})
        body["messages"] = convert_to_openai_messages(messages)
        if stop:
            body["stop"] = stop
        return body

    def _result(self, response: httpx.Response) -> ChatResult:
        response.raise_for_status()
        data = response.json()
        choice, usage = data["choices"][0], data["usage"]
        message = AIMessage(
            content=choice["message"].get("content") or "",
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
            "url": f"{self.base_url}/chat/completions",
            "headers": {"Authorization": f"Bearer {self.api_key.get_secret_value()}"},
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

    def with_structured_output(self, schema, **kwargs):
        wanted = json.dumps(convert_to_json_schema(schema))

        def ask(value):
            messages = self._convert_input(value).to_messages()
            return [SystemMessage(f"Reply with JSON only, after this schema: {wanted}"), *messages]

        def parse(message):
            found = re.search(r"\{.*\}", message.text, re.DOTALL)
            if not found:
                return None
            try:
                data = json.loads(found.group())
                if isinstance(schema, type) and issubclass(schema, BaseModel):
                    return schema.model_validate(data)
                return data
            except (json.JSONDecodeError, ValidationError):
                return None

        return RunnableLambda(ask) | self | RunnableLambda(parse)
