"""A local extractive summariser as a chat model: it scores the sentences of the last message, in pure Python.

Modelled on: local models streamed in the Gradio manner, where each event is the text so far, put behind LangChain.
What is wrong: (1) stream()/astream() yield the whole text so far in each chunk instead of the new piece: LangChain adds chunks
up, so the gathered answer (and any UI, and invoke under a streaming callback or LangGraph) says "The The cat The cat sat ...".
(2) stop is honoured by invoke() but ignored by stream()/astream(): the same chain ends at different places; both should cut.
FAULT: stream yields cumulative text in each chunk, so the gathered answer repeats itself; stop is ignored in stream/astream
MODEL: GrowingSummary
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from typing import Any, Iterator, Optional

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_WORD = re.compile(r"\w+")
_DULL = frozenset(
    "a an and are as at be but by for from has he her his i in is it its of on or she that the their "
    "they this to was were will with you".split()
)


class GrowingSummary(BaseChatModel):
    keep: int = Field(default=2, ge=1, description="how many sentences a summary has")
    lead_bonus: float = Field(
        default=0.25, ge=0, description="how much the first sentence is preferred"
    )

    @property
    def _llm_type(self) -> str:
        return "growing-summary"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"keep": self.keep, "lead_bonus": self.lead_bonus}

    def get_token_ids(self, text: str) -> list[int]:
        return [zlib.crc32(w.encode()) for w in _WORD.findall(text)]

    def _source(self, messages: list[BaseMessage]) -> str:
        for message in reversed(messages):
            if isinstance(message, HumanMessage):
                if not isinstance(message.content, str) and any(
                    isinstance(b, dict) and b.get("type") != "text" for b in message.content
                ):
                    raise NotImplementedError("GrowingSummary reads text only")
                if message.text.strip():
                    return message.text
        raise ValueError("GrowingSummary needs a human message with text")

    def _summary(self, messages: list[BaseMessage]) -> str:
        sentences = [s.strip() for s in _SENTENCE.findall(self._source(messages)) if s.strip()]
        weight = Counter(w for s in sentences for w in _WORD.findall(s.lower()) if w not in _DULL)

        def score(item: tuple[int, str]) -> float:
            words = [w for w in _WORD.findall(item[1].lower()) if w not in _DULL]
            base = sum(weight[w] for w in words) / (len(words) or 1)
            return base + (self.lead_bonus if item[0] == 0 else 0.0)

        best = sorted(sorted(enumerate(sentences), key=score, reverse=True)[: self.keep])
        return " ".join(sentence for _, sentence in best)

    @staticmethod
    def _cut(text: str, stop: Optional[list[str]]) -> str:
        found = [text.index(s) for s in stop or [] if s and s in text]
        return text[: min(found)] if found else text

    def _usage(self, messages: list[BaseMessage], text: str) -> dict[str, int]:
        read, made = sum(len(_WORD.findall(m.text)) for m in messages), len(_WORD.findall(text))
        return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        text = self._cut(self._summary(messages), stop)
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=text,
                        usage_metadata=self._usage(messages, text),
                        response_metadata={
                            "model_name": "growing-summary",
                            "finish_reason": "stop",
                        },
                    )
                )
            ]
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        so_far = ""
        for word in re.findall(r"\S+\s*", self._summary(messages)):
            so_far += word
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=so_far))
            if run_manager:
                run_manager.on_llm_new_token(so_far, chunk=chunk)
            yield chunk
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=self._usage(messages, so_far),
                response_metadata={"model_name": "growing-summary", "finish_reason": "stop"},
            )
        )
