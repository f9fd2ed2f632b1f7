"""Modelled on: repositories with a `with_structured_output` of their own ("our endpoint has no tools"): the schema is
pasted into a system prompt and the answer is read with json.loads between the first { and the last }.

Wrong: the result is whatever came out. What the user feels: a pydantic schema yields a dict, so `result.field` is an
AttributeError; an answer that is no JSON yields None, far from its cause; `include_raw=True` changes nothing.

FAULT: with_structured_output of a pydantic class returns an unvalidated dict and not an instance of the class.
FAULT: an answer that cannot be parsed gives None and no error.
FAULT: include_raw is accepted and ignored.

MODEL: GatewayChat
KWARGS: {}
WIRE: openai
"""

import json
import logging
from typing import Any, Dict, List, Optional

import requests
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import SecretStr

logger = logging.getLogger(__name__)


class GatewayChat(BaseChatModel):
    """Chat with our gateway."""

    base_url: str = "http://127.0.0.1:8000/v1"
    api_key: Optional[SecretStr] = None
    model: str = "gateway"
    temperature: float = 0.2
    max_tokens: int = 1024

    @property
    def _llm_type(self) -> str:
        return "gateway-chat"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _generate(
        self, messages: List[BaseMessage], stop=None, run_manager=None, **kwargs
    ) -> ChatResult:
        kwargs.pop("stream", None)
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **kwargs,
        }
        if stop:
            body["stop"] = stop
        headers = (
            {"Authorization": f"Bearer {self.api_key.get_secret_value()}"} if self.api_key else {}
        )
        response = requests.post(
            f"{self.base_url}/chat/completions", json=body, headers=headers, timeout=120
        )
        response.raise_for_status()
        data = response.json()
        choice, usage = data["choices"][0], data.get("usage")
        message = AIMessage(
            content=choice["message"]["content"] or "",
            usage_metadata=usage
            and {
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            },
            response_metadata={
                "model_name": data.get("model"),
                "finish_reason": choice.get("finish_reason"),
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def with_structured_output(self, schema, *, include_raw: bool = False, **kwargs: Any):
        json_schema = convert_to_json_schema(schema)
        instruction = (
            "Answer with one JSON object and nothing else. It has to conform to this JSON schema:\n"
            + json.dumps(json_schema)
        )

        def add_instruction(value: Any) -> List[BaseMessage]:
            return [SystemMessage(content=instruction), *self._convert_input(value).to_messages()]

        def parse(message: AIMessage) -> Optional[dict]:
            text = message.text
            try:
                return json.loads(text[text.index("{") : text.rindex("}") + 1])
            except ValueError as e:
                logger.warning("could not parse structured output: %s", e)
                return None

        return RunnableLambda(add_instruction) | self | RunnableLambda(parse)
