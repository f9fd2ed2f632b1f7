"""A tiny word-level Markov chain as a chat model, computed in pure Python, with its own tokens and usage.

Modelled on: notebooks that wrap a home-made local "LLM" function in a chat model to learn chains.
What is right: the same seed and messages give the same answer in invoke, stream and their async twins; stop strings are
cut even across words; max_words ends with finish_reason "length"; usage counts real words once; the streamed pieces put
together are the answer; async computes in the executor; an empty conversation is refused with ValueError.
MODEL: MarkovParlor
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import random
import re
import zlib
from functools import lru_cache
from typing import Any, AsyncIterator, Iterator

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import run_in_executor
from pydantic import Field, model_validator

CORPUS = (
    "The river carries the small boat past the old mill. The old mill grinds the corn of the village. "
    "The village sleeps while the river sings. A small boat needs a good rope and a calm hand. "
    "The corn is ripe when the evening is warm. A calm hand ties the rope before the storm. "
    "The storm shakes the mill but the mill stands. In the evening the village sings and the river listens."
)
_WORD = re.compile(r"\w+|[^\w\s]")


@lru_cache(maxsize=16)
def _table(corpus: str, order: int) -> dict[tuple[str, ...], tuple[str, ...]]:
    words = _WORD.findall(corpus)
    table: dict[tuple[str, ...], list[str]] = {}
    for i in range(len(words) - order):
        table.setdefault(tuple(words[i : i + order]), []).append(words[i + order])
    return {k: tuple(v) for k, v in table.items()}


class MarkovParlor(BaseChatModel):
    corpus: str = Field(default=CORPUS, min_length=20)
    order: int = Field(default=1, ge=1, le=3)
    seed: int = 7
    max_words: int = Field(default=40, ge=1)
    sentences: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _enough(self) -> "MarkovParlor":
        if len(_WORD.findall(self.corpus)) <= self.order:
            raise ValueError("corpus is shorter than the order of the chain")
        return self

    @property
    def _llm_type(self) -> str:
        return "markov-parlor"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "corpus": zlib.crc32(self.corpus.encode()),
            "order": self.order,
            "seed": self.seed,
            "max_words": self.max_words,
            "sentences": self.sentences,
        }

    def get_token_ids(self, text: str) -> list[int]:
        return [zlib.crc32(w.encode()) for w in _WORD.findall(text)]

    def _words(self, messages: list[BaseMessage], limit: int, seed: int) -> tuple[list[str], str]:
        table = _table(self.corpus, self.order)
        asked = _WORD.findall(messages[-1].text)
        dice = random.Random(f"{seed}|{'|'.join(m.text for m in messages)}")
        starts = (
            [k for k in table if k[0] in asked]
            or [k for k in table if k[0][0].isupper()]
            or list(table)
        )
        state = dice.choice(starts)
        out, ends = list(state), 0
        while True:
            ends = sum(w in ".!?" for w in out)
            if ends >= self.sentences:
                return out, "stop"
            if len(out) >= limit:
                return out[:limit], "length"
            following = table.get(tuple(out[-self.order :]))
            if not following:
                return out, "stop"
            out.append(dice.choice(following))

    def _speak(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict
    ) -> tuple[list[str], str]:
        """The pieces of the answer and why it ended."""
        if not messages or not any(m.text.strip() for m in messages):
            raise ValueError("MarkovParlor needs at least one message with text")
        for m in messages:
            if not isinstance(m.content, str) and any(
                isinstance(b, dict) and b.get("type") != "text" for b in m.content
            ):
                raise NotImplementedError("MarkovParlor reads text only")
        unknown = set(kwargs) - {"max_words", "max_tokens", "seed"}
        if unknown:
            raise TypeError(f"MarkovParlor does not know {sorted(unknown)}")
        limit = kwargs.get("max_words") or kwargs.get("max_tokens") or self.max_words
        words, reason = self._words(messages, limit, kwargs.get("seed", self.seed))
        pieces = [w if i == 0 or not w[0].isalnum() else " " + w for i, w in enumerate(words)]
        whole = "".join(pieces)
        cuts = [at for s in stop or [] if s and (at := whole.find(s)) >= 0]
        if cuts:
            whole, reason = whole[: min(cuts)], "stop"
        kept, used = [], 0
        for piece in pieces:
            if used >= len(whole):
                break
            kept.append(piece[: len(whole) - used])
            used += len(piece)
        return kept, reason

    def _about(self, messages: list[BaseMessage], text: str, reason: str) -> dict[str, Any]:
        read = sum(len(_WORD.findall(m.text)) for m in messages)
        made = len(_WORD.findall(text))
        return {
            "usage_metadata": {
                "input_tokens": read,
                "output_tokens": made,
                "total_tokens": read + made,
            },
            "response_metadata": {"model_name": "markov-parlor", "finish_reason": reason},
        }

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        pieces, reason = self._speak(messages, stop, kwargs)
        text = "".join(pieces)
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(content=text, **self._about(messages, text, reason))
                )
            ]
        )

    def _chunks(self, messages, pieces, reason) -> Iterator[ChatGenerationChunk]:
        for piece in pieces:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", **self._about(messages, "".join(pieces), reason))
        )

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, *self._speak(messages, stop, kwargs)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces, reason = await run_in_executor(None, self._speak, messages, stop, kwargs)
        for chunk in self._chunks(messages, pieces, reason):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
