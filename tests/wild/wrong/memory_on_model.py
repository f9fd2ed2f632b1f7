"""A local engine with a chat session, and a chat model that holds one session for its whole life.

Modelled on: wrappers of local engines with session objects (GPT4All's `chat_session`, llama.cpp contexts,
bots with a "conversation"), which send the last message into the session and let it remember the rest.

What is wrong: the model is not a function of its input. A second user of the same object continues the first
one's conversation and may be told what the other one wrote; batches and threads mix in one session; the same
messages give another answer each time; of the messages that are passed, only the last is read, so a history
or a system prompt that the caller brings has no effect.

FAULT: what was said in earlier calls is kept on the instance and changes the answers of later, unrelated calls.
FAULT: only the last message is read; system messages and the given history are ignored.
FAULT: the session is changed by concurrent calls without any lock, so answers of parallel calls mix.
MODEL: SessionEngineChat
KWARGS: {}
WIRE: none
"""

import time
from typing import Any, Dict, Iterator, List, Optional

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr


class ChatSession:
    """Stands for the engine's session: it remembers, and says what it remembers."""

    def __init__(self) -> None:
        self.turns: List[str] = []

    def send(self, text: str, max_tokens: int) -> Iterator[str]:
        self.turns.append(text)
        time.sleep(0.002)
        if len(self.turns) == 1:
            answer = f"Nice to meet you. You said: {self.turns[-1]}"
        else:
            answer = f"You said: {self.turns[-1]} - and before that: {self.turns[-2]}"
        for count, word in enumerate(answer.split(" ")):
            if count >= max_tokens:
                return
            yield word if count == 0 else " " + word


class SessionEngineChat(BaseChatModel):
    model_name: str = "session-engine-q4"
    max_tokens: int = 64

    _session: ChatSession = PrivateAttr(default_factory=ChatSession)

    @property
    def _llm_type(self) -> str:
        return "session-engine"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"model_name": self.model_name, "max_tokens": self.max_tokens}

    def _say(
        self, messages: List[BaseMessage], stop: Optional[List[str]], kwargs: Dict[str, Any]
    ) -> str:
        limit = kwargs.get("max_tokens") or self.max_tokens
        text = "".join(self._session.send(str(messages[-1].text), limit))
        for end in stop or []:
            text = text.split(end)[0]
        return text

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(
            content=self._say(messages, stop, kwargs),
            response_metadata={"model_name": self.model_name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager=None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text = self._say(messages, stop, kwargs)
        for at in range(0, len(text), 8):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[at : at + 8]))
        info = {"model_name": self.model_name}
        yield ChatGenerationChunk(message=AIMessageChunk(content=""), generation_info=info)
