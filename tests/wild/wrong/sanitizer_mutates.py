"""ChatOpenAI with a cleaning of messages in front, for a provider that is picky about content.

Modelled on: "sanitized" subclasses in agent products, which strip thinking blocks and empty texts before the
provider sees them.

What is wrong: it cleans the very message objects that it is given, which are the agent's state: thinking
blocks are gone from the history that is shown, saved by a checkpointer and sent to other models. And it does
so in `_generate` and `_astream` only: `ainvoke` and `stream` still send the lists that the provider refuses.

FAULT: the caller's messages are changed in place (content lists are replaced by strings, blocks are lost).
FAULT: only two of the four ways of asking are cleaned, so ainvoke and stream send other requests than invoke and astream.
MODEL: make_model
KWARGS: {}
WIRE: openai
"""

from typing import Any, List

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_openai import ChatOpenAI

DROPPED = {"thinking", "redacted_thinking", "reasoning"}


def sanitize(messages: List[BaseMessage]) -> List[BaseMessage]:
    for message in messages:
        if isinstance(message.content, list):
            texts = []
            keep = []
            for block in message.content:
                if isinstance(block, str):
                    texts.append(block)
                elif block.get("type") in DROPPED:
                    continue
                elif block.get("type") == "text":
                    texts.append(block["text"])
                else:
                    keep.append(block)
            if keep:
                message.content = [{"type": "text", "text": t} for t in texts if t] + keep
            else:
                message.content = "\n".join(t for t in texts if t)
    return messages


class PickyProviderChat(ChatOpenAI):
    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any):
        return super()._generate(sanitize(messages), stop=stop, run_manager=run_manager, **kwargs)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any):
        async for chunk in super()._astream(
            sanitize(messages), stop=stop, run_manager=run_manager, **kwargs
        ):
            yield chunk


def make_model(
    base_url: str = "http://127.0.0.1:8000/v1",
    api_key: str = "not-set",
    model: str = "picky-large",
    **kwargs: Any,
) -> BaseChatModel:
    return PickyProviderChat(
        base_url=base_url, api_key=api_key, model=model, stream_usage=True, **kwargs
    )
