"""An LLM in the process itself: a word chain, learned from a text, that goes on from what was said.

Modelled on: repositories that wrap a model in memory (llama.cpp bindings, MLX, a toy GPT of a course), where
`_stream` is a loop over tokens and nothing goes over a wire.

What is right: one loop answers all ways of asking, so whole and streamed answers are the same; nothing is
kept between calls, and every call has its own random numbers, so that it can be asked by many at once; stop
sequences are enforced across the borders of chunks, `max_tokens` and the finish reason are true; a token is
a word here, and usage counts what was read and written; tools, structured output and pictures are refused.

MODEL: WordChain
KWARGS: {}
WIRE: none
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult

CORPUS = (
    "the ferry leaves the harbour at noon and the harbour sleeps until the evening when the ferry comes back "
    "with letters and the letters go to the island and the island reads them at night and answers at noon"
)

THOUGHTS = ("thinking", "redacted_thinking", "reasoning")


@lru_cache(maxsize=8)
def _learn(corpus: str) -> dict[str, tuple[str, ...]]:
    words = corpus.split()
    follows: dict[str, list[str]] = defaultdict(list)
    for word, after in zip(words, [*words[1:], words[0]], strict=True):
        follows[word].append(after)
    return {word: tuple(after) for word, after in follows.items()}


class WordChain(BaseChatModel):
    """Goes on from the last word that it knows."""

    model_name: str = "word-chain"
    corpus: str = CORPUS
    max_tokens: int = 24
    temperature: float = 0.0
    seed: int = 7

    @property
    def _llm_type(self) -> str:
        return "word-chain"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "corpus": self.corpus,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    @staticmethod
    def _prompt(messages: list[BaseMessage]) -> list[str]:
        words: list[str] = []
        for message in messages:
            if isinstance(message, ToolMessage) or (
                isinstance(message, AIMessage) and message.tool_calls
            ):
                raise ValueError("A word chain knows no tools")
            for block in [message.content] if isinstance(message.content, str) else message.content:
                if isinstance(block, str):
                    words += block.split()
                elif block.get("type") == "text":
                    words += block["text"].split()
                elif message.type == "ai" and block.get("type") in THOUGHTS:
                    continue  # what another model thought is not read again
                else:
                    raise ValueError(f"A word chain reads text only, not {block.get('type')!r}")
        return words

    def _words(self, prompt: list[str], temperature: float, seed: int) -> Iterator[str]:
        follows = _learn(self.corpus)
        dice = random.Random(f"{seed}|{' '.join(prompt)}")
        word = next((word for word in reversed(prompt) if word in follows), next(iter(follows)))
        while True:
            after = follows[word]
            word = dice.choice(after) if temperature > 0 else max(after, key=after.count)
            yield word

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        stream: bool = True,
        **unknown: Any,
    ) -> Iterator[ChatGenerationChunk]:
        unknown = {key: value for key, value in unknown.items() if value is not None}
        if unknown:
            raise NotImplementedError(f"A word chain has no {', '.join(sorted(unknown))}")
        prompt = self._prompt(messages)
        limit = self.max_tokens if max_tokens is None else max_tokens
        stops = [text for text in stop or [] if text]
        keep = (
            max(map(len, stops), default=1) - 1
        )  # that much could be the beginning of a stop sequence
        words = self._words(
            prompt,
            self.temperature if temperature is None else temperature,
            self.seed if seed is None else seed,
        )
        held, written, reason = "", 0, "length"
        while written < limit:
            held += ("" if written == 0 else " ") + next(words)
            written += 1
            hits = [at for at in (held.find(text) for text in stops) if at >= 0]
            if hits:
                held, reason = held[: min(hits)], "stop"
                break
            ready, held = held[: len(held) - keep], held[len(held) - keep :]
            if ready:
                yield ChatGenerationChunk(message=AIMessageChunk(content=ready))
        info = {"finish_reason": reason, "model_name": self.model_name}
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content=held,
                usage_metadata=UsageMetadata(
                    input_tokens=len(prompt),
                    output_tokens=written,
                    total_tokens=len(prompt) + written,
                ),
            ),
            generation_info=info,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop=stop, **kwargs))
