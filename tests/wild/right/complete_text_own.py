"""Modelled on: repositories that put a department's own text-completion endpoint (one prompt in, one completion out)
behind a chat model, with urllib and nothing else.

Right: text only, and honest about it: tools, tool messages, images and structured output are refused by name. The
conversation is written into one prompt with labelled turns; `halt` has the caller's stop sequences and the label that
would begin the next turn. Usage and the reason of the end are told. Sync only; LangChain's executor makes the rest.

The wire: POST {service_url}/complete {"prompt", "limit"?, "heat"?, "halt"} ->
{"completion", "ended_by": "end"|"limit", "counts": {"in", "out"}}.

MODEL: DepartmentChat
KWARGS: {}
WIRE: own
"""

import json
import urllib.error
import urllib.request
from typing import Any, Dict, List, Optional

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class ServiceError(RuntimeError):
    pass


class DepartmentChat(BaseChatModel):
    service_url: str = "http://127.0.0.1:9100"
    max_tokens: Optional[int] = None
    temperature: Optional[float] = None
    timeout: float = 30

    @property
    def _llm_type(self) -> str:
        return "department-complete"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "service_url": self.service_url,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    @staticmethod
    def _text(message: BaseMessage) -> str:
        content = message.content
        for block in [] if isinstance(content, str) else content:
            if not isinstance(block, str) and block.get("type") != "text":
                raise ValueError(
                    f"DepartmentChat reads text only, not a block of type {block.get('type')!r}"
                )
        return message.text

    def _prompt(self, messages: List[BaseMessage]) -> str:
        lines = []
        for message in messages:
            if isinstance(message, SystemMessage):
                label = "System"
            elif isinstance(message, HumanMessage):
                label = "User"
            elif isinstance(message, AIMessage) and not (
                message.tool_calls or message.invalid_tool_calls
            ):
                label = "Assistant"
            elif isinstance(message, AIMessage):
                raise ValueError(
                    "DepartmentChat has no tools: it cannot read a message with tool calls"
                )
            else:
                raise ValueError(f"DepartmentChat cannot read a {type(message).__name__}")
            lines.append(f"{label}: {self._text(message)}")
        return "\n".join([*lines, "Assistant:"])

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        limit = kwargs.pop("max_tokens", self.max_tokens)
        heat = kwargs.pop("temperature", self.temperature)
        kwargs.pop("stream", None)
        if unknown := sorted(k for k, v in kwargs.items() if v is not None):
            raise NotImplementedError(f"DepartmentChat has no {', '.join(unknown)}")
        body = {"prompt": self._prompt(messages), "halt": [*(stop or []), "\nUser:"]}
        if limit is not None:
            body["limit"] = limit
        if heat is not None:
            body["heat"] = heat
        request = urllib.request.Request(
            self.service_url.rstrip("/") + "/complete",
            json.dumps(body).encode("utf-8"),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ServiceError(
                    f"the service answered {error.code}: {error.read(500)!r}"
                ) from error
        try:
            answer = json.loads(text)
            completion, ended_by, counts = (
                answer["completion"],
                answer["ended_by"],
                answer["counts"],
            )
        except (ValueError, LookupError, TypeError) as error:
            raise ServiceError(f"the service sent no completion: {text[:200]!r}") from error
        message = AIMessage(
            content=completion.strip(),
            usage_metadata={
                "input_tokens": counts["in"],
                "output_tokens": counts["out"],
                "total_tokens": counts["in"] + counts["out"],
            },
            response_metadata={
                "model_name": "department",  # there is one, and it has no name of its own
                "finish_reason": "length" if ended_by == "limit" else "stop",
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])
