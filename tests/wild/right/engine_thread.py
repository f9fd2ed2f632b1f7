"""Modelled on: repositories that run an engine in the process whose generation is one blocking call with a callback
per token (transformers with a streamer, whisper-like C bindings): the chat model runs it on a thread of its own and
reads a queue. `Engine` stands for the binding: one generation at a time, and it can be told to stop.

Right: a lock serializes calls (the engine is not reentrant), a consumer who walks away makes the engine stop, an
error on the thread is raised in the caller, stop sequences are held back until they are certain, and end the
generation. The engine is loaded when it is first needed and left out of pickles. No tools: LangChain's own
NotImplementedError.

MODEL: EngineChat
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr


class Engine:
    """The binding. `generate` blocks, calls `on_token` for each token, and ends early where that returns False."""

    def __init__(self, weights: str) -> None:
        self.weights = weights
        self.busy = False

    def count(self, text: str) -> int:
        return len(text.split())

    def generate(self, prompt: str, limit: int, on_token: Callable[[str], bool]) -> str:
        if self.busy:
            raise RuntimeError("the engine is not reentrant")
        self.busy = True
        try:
            last = prompt.rsplit("### user\n", 1)[-1].split("\n###")[0].strip()
            for number, word in enumerate(f"I read: {last}".split(" ")):
                if number == limit:
                    return "limit"
                if not on_token(word if number == 0 else " " + word):
                    return "stopped"
            return "end"
        finally:
            self.busy = False


class _Loaded:
    def __init__(self, weights: str) -> None:
        self.engine = Engine(weights)
        self.lock = threading.Lock()


_loaded: dict[str, _Loaded] = {}
_loading = threading.Lock()


def _load(weights: str) -> _Loaded:
    """An engine per file of weights, however many models there are."""
    with _loading:
        if weights not in _loaded:
            _loaded[weights] = _Loaded(weights)
        return _loaded[weights]


def _split(text: str, marks: list[str]) -> tuple[str, str, bool]:
    """What of `text` is certain, what has to wait, and whether a mark ended it."""
    found = [text.index(mark) for mark in marks if mark in text]
    if found:
        return text[: min(found)], "", True
    keep = 0
    for mark in marks:
        for size in range(1, len(mark)):
            if text.endswith(mark[:size]):
                keep = max(keep, size)
    return text[: len(text) - keep], text[len(text) - keep :], False


class EngineChat(BaseChatModel):
    weights: str = "weights.bin"
    max_tokens: int = 256

    _engine: _Loaded | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "engine-thread"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"weights": self.weights, "max_tokens": self.max_tokens}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_model_name"] = self.weights
        return params

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        private = state.get("__pydantic_private__")
        return {**state, "__pydantic_private__": {**(private or {}), "_engine": None}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> EngineChat:
        return self.model_copy()

    def _get(self) -> _Loaded:
        if self._engine is None or self._engine.engine.weights != self.weights:
            self._engine = _load(self.weights)
        return self._engine

    @staticmethod
    def _prompt(messages: list[BaseMessage]) -> str:
        parts = []
        for message in messages:
            if message.type not in ("system", "human", "ai") or getattr(
                message, "tool_calls", None
            ):
                raise ValueError(
                    f"EngineChat has no tools and cannot read this {type(message).__name__}"
                )
            for block in [] if isinstance(message.content, str) else message.content:
                if isinstance(block, dict) and block.get("type") != "text":
                    raise ValueError(
                        f"EngineChat reads text only, not a block of type {block.get('type')!r}"
                    )
            role = "user" if isinstance(message, HumanMessage) else message.type
            parts.append(f"### {role}\n{message.text}\n")
        return "".join(parts) + "### assistant\n"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        limit = kwargs.pop("max_tokens", self.max_tokens)
        kwargs.pop("stream", None)
        if kwargs:
            raise NotImplementedError(f"EngineChat has no {', '.join(sorted(kwargs))}")
        prompt, loaded = self._prompt(messages), self._get()
        tokens: queue.Queue[tuple[str, Any]] = queue.Queue()
        unwanted = threading.Event()

        def on_token(token: str) -> bool:
            tokens.put(("token", token))
            return not unwanted.is_set()

        def run() -> None:
            try:
                with loaded.lock:
                    ended = (
                        "stopped"
                        if unwanted.is_set()
                        else loaded.engine.generate(prompt, limit, on_token)
                    )
                tokens.put(("end", ended))
            except BaseException as error:
                tokens.put(("error", error))

        thread = threading.Thread(target=run, name="engine", daemon=True)
        thread.start()
        written, waiting, finish = 0, "", "stop"
        try:
            while True:
                kind, value = tokens.get()
                if kind == "error":
                    raise value
                if kind == "end":
                    if waiting:
                        yield ChatGenerationChunk(message=AIMessageChunk(content=waiting))
                    finish = "length" if value == "limit" else "stop"
                    break
                written += 1
                certain, waiting, ended = _split(waiting + value, stop or [])
                if certain:
                    yield ChatGenerationChunk(message=AIMessageChunk(content=certain))
                if ended:
                    break
        finally:
            unwanted.set()
            thread.join()
        read = loaded.engine.count(prompt)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=UsageMetadata(
                    input_tokens=read, output_tokens=written, total_tokens=read + written
                ),
                response_metadata={"finish_reason": finish, "model_name": self.weights},
            )
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))
