"""A SimpleChatModel that writes ChatML itself and asks llama.cpp's `/completion`.

Modelled on: local-model tutorials and robotics projects where the prompt template stands in the repository
(ChatML, Vicuna, Alpaca) and the server completes raw text.

What is right: a person's words cannot write turns of the template (its marks are taken out); the mark that
ends a turn is always among the stop sequences, besides the caller's; parameters per call go before those of
the model, 0 too; what the template has no place for (tools, pictures, tool results) is an error that says
so; the answer must be what the server promises. It does not stream, and reports no usage, since
SimpleChatModel returns text alone.

MODEL: ChatMLCompletion
KWARGS: {}
WIRE: own
"""

from typing import Any

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
_MARKS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_NAMES = {
    "max_tokens": "n_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
}
_NAMES |= {"seed": "seed", "n_predict": "n_predict"}


class CompletionFailed(RuntimeError):
    """llama.cpp's server did not complete the prompt."""


class ChatMLCompletion(SimpleChatModel):
    """ChatML over raw completion."""

    server_url: str = "http://127.0.0.1:8080"
    model_name: str = "local-gguf"
    temperature: float = 0.8
    max_tokens: int = 256
    read_timeout: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "chatml-completion"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "server_url": self.server_url,
            "model_name": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    @staticmethod
    def _words(message: BaseMessage) -> str:
        parts = [message.content] if isinstance(message.content, str) else message.content
        text = ""
        for part in parts:
            if isinstance(part, str):
                text += part
            elif part.get("type") == "text":
                text += part["text"]
            elif message.type == "ai" and part.get("type") in _THOUGHTS:
                continue  # what another model thought is not said again
            else:
                raise ValueError(f"ChatML has no place for content of type {part.get('type')!r}")
        before = None
        while (
            before != text
        ):  # until nothing is left that could make a mark when something is taken out
            before = text
            for mark in _MARKS:
                text = text.replace(mark, "")
        return text

    def _prompt(self, messages: list[BaseMessage]) -> str:
        prompt = ""
        for message in messages:
            if isinstance(message, SystemMessage):
                role = "system"
            elif isinstance(message, HumanMessage):
                role = "user"
            elif isinstance(message, AIMessage) and not message.tool_calls:
                role = "assistant"
            else:
                what = (
                    "tool calls" if isinstance(message, AIMessage) else f"{message.type!r} messages"
                )
                raise ValueError(f"This ChatML template has no {what}")
            prompt += f"<|im_start|>{role}\n{self._words(message)}<|im_end|>\n"
        return prompt + "<|im_start|>assistant\n"

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        kwargs.pop("stream", None)
        given = {name: value for name, value in kwargs.items() if value is not None}
        if strange := sorted(set(given) - set(_NAMES)):
            raise NotImplementedError(f"Raw completion knows no {', '.join(strange)}")
        body: dict[str, Any] = {
            "prompt": self._prompt(messages),
            "temperature": self.temperature,
            "n_predict": self.max_tokens,
            "stop": ["<|im_end|>", *(stop or [])],
            "stream": False,
        }
        body |= {_NAMES[name]: value for name, value in given.items()}
        try:
            response = requests.post(
                self.server_url.rstrip("/") + "/completion",
                json=body,
                timeout=(5, self.read_timeout),
            )
        except requests.RequestException as error:
            raise CompletionFailed(f"No answer from {self.server_url}: {error}") from error
        if not response.ok:
            raise CompletionFailed(
                f"The server answered {response.status_code}: {response.text[:300]}"
            )
        try:
            text = response.json()["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise CompletionFailed(
                f"The server sent no content: {response.text[:200]!r}"
            ) from error
        if not isinstance(text, str):
            raise CompletionFailed(f"The server sent content that is no text: {text!r:.200}")
        return text
