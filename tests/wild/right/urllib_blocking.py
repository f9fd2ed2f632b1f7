"""A small department server with a JSON wire of its own, asked with nothing but the standard library.

Modelled on: teaching and research repositories with a "POST /generate" of their own (a Flask or FastAPI app
around a local model), whose chat model does one blocking request and nothing else.

What is right: it is sync only and does not pretend otherwise: async goes through LangChain's executor,
`stream` gives the whole answer as one message, tools and structured output stay LangChain's
NotImplementedError. What the server cannot take (images, tool messages, parameters that it does not know)
is refused by name and not dropped. Stop sequences, which the server lacks, are cut here. The counts of
tokens are the server's, and absent when it sends none.

MODEL: DeptServerChat
KWARGS: {}
WIRE: own
"""

import json
import urllib.error
import urllib.request
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult


class DeptServerError(RuntimeError):
    """The department's server could not or would not answer."""


THOUGHTS = ("thinking", "redacted_thinking", "reasoning")


def _plain(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = []
    for block in message.content:
        if isinstance(block, str):
            parts.append(block)
        elif block.get("type") == "text":
            parts.append(block["text"])
        elif isinstance(message, AIMessage) and block.get("type") in THOUGHTS:
            continue  # what another model thought is not said again
        else:
            raise ValueError(
                f"The server takes text only, not a block of type {block.get('type')!r}"
            )
    return "".join(parts)


class DeptServerChat(BaseChatModel):
    """Blocking chat with the department's server."""

    server_url: str = "http://127.0.0.1:5000"
    model: str = "dept-13b"
    temperature: float = 0.2
    max_new_tokens: int = 512
    timeout: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "dept-server"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "server_url": self.server_url,
            "model": self.model,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
        }

    def _turns(self, messages: list[BaseMessage]) -> list[dict[str, str]]:
        turns = []
        for message in messages:
            if isinstance(message, SystemMessage):
                speaker = "instructions"
            elif isinstance(message, HumanMessage):
                speaker = "person"
            elif isinstance(message, AIMessage):
                if message.tool_calls:
                    raise ValueError("The server knows no tool calls")
                speaker = "machine"
            else:
                raise ValueError(f"The server knows no messages of type {message.type!r}")
            turns.append({"speaker": speaker, "words": _plain(message)})
        return turns

    def _post(self, payload: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.server_url.rstrip("/") + "/generate",
            data=json.dumps(payload).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                raw = response.read()
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode("utf-8", "replace")[:300]
            raise DeptServerError(f"The server answered {error.code}: {detail}") from error
        except (urllib.error.URLError, OSError) as error:
            raise DeptServerError(f"No answer from {self.server_url}: {error}") from error
        try:
            data = json.loads(raw)
        except ValueError as error:
            raise DeptServerError(f"The server did not send JSON: {raw[:200]!r}") from error
        if not isinstance(data, dict) or not isinstance(data.get("words"), str):
            raise DeptServerError(f"The server sent no words: {raw[:200]!r}")
        return data

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: bool = False,  # asked for by callers of any model; this one has nothing to stream
        **unknown: Any,
    ) -> ChatResult:
        unknown = {key: value for key, value in unknown.items() if value is not None}
        if unknown.get("tools"):
            raise NotImplementedError("The department's server has no tool calling")
        if unknown:
            raise TypeError(f"The department's server takes no {', '.join(sorted(unknown))}")
        data = self._post(
            {
                "model": model or self.model,
                "turns": self._turns(messages),
                "heat": self.temperature if temperature is None else temperature,
                "limit": self.max_new_tokens if max_tokens is None else max_tokens,
            }
        )
        words, reason = data["words"], "length" if data.get("cut") else "stop"
        found = [at for at in (words.find(text) for text in stop or [] if text) if at >= 0]
        if found:
            words, reason = words[: min(found)], "stop"
        usage = None
        if "tokens_read" in data and "tokens_written" in data:
            usage = UsageMetadata(
                input_tokens=data["tokens_read"],
                output_tokens=data["tokens_written"],
                total_tokens=data["tokens_read"] + data["tokens_written"],
            )
        message = AIMessage(
            content=words,
            usage_metadata=usage,
            response_metadata={"model_name": model or self.model, "finish_reason": reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])
