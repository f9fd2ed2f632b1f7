"""Faults of the section Basics."""

import asyncio
import itertools
import uuid
from typing import Any

from langchain_core.prompt_values import PromptValue
from pydantic import PrivateAttr, model_validator

from faults.controls import Full
from faults.kit import Results, fault
from faults.wire import Answer


@fault("B1")
class OnlyMessages(Full):
    """Dicts are refused: its own `_convert_input` knows str and messages only."""

    def _convert_input(self, model_input: Any) -> Any:
        if isinstance(model_input, list) and any(isinstance(each, dict) for each in model_input):
            raise TypeError("messages must be BaseMessage")
        return super()._convert_input(model_input)


@fault("B1")
class NoTuples(Full):
    """`("human", "Hi")` is refused."""

    def _convert_input(self, model_input: Any) -> Any:
        if isinstance(model_input, list) and any(isinstance(each, tuple) for each in model_input):
            raise TypeError("unsupported message type: tuple")
        return super()._convert_input(model_input)


@fault("B1")
class NoPromptValues(Full):
    """What a prompt template gives is taken for a list."""

    def _convert_input(self, model_input: Any) -> Any:
        if isinstance(model_input, PromptValue):
            model_input = list(model_input)
        return super()._convert_input(model_input)


@fault("B2", verdict="WARN")
class NameLeftOut(Full):
    """`_identifying_params` calls the model's name something else."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params = super()._identifying_params
        name = params.pop("model_name")
        return {**params, "deployment": name}


@fault("B2")
class NoType(Full):
    """`_llm_type` is empty."""

    @property
    def _llm_type(self) -> str:
        return ""


class Refusing(Full):
    banned: str = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, values: Any) -> Any:
        name = cls.model_fields["banned"].default
        if isinstance(values, dict) and values.get(name) is not None:
            raise ValueError(f"unexpected parameter {name}")
        return values


@fault("B3", also="K3 R1 R2 R5 R6")  # those that set it to see where it goes
class NoTemperature(Refusing):
    """`temperature` is not taken by the constructor."""

    banned: str = "temperature"


@fault("B3", also="K3 R5")  # these give all fields anew
class NoTimeout(Refusing):
    """`timeout` is not taken by the constructor."""

    banned: str = "timeout"


@fault("B4")
class MustAlternate(Full):
    """Roles have to alternate, as many chat templates want it."""

    def payload(self, messages, stop, kwargs) -> dict:
        roles = [each.type for each in messages]
        if any(a == b == "human" for a, b in itertools.pairwise(roles)):
            raise ValueError("conversation roles must alternate user/assistant")
        return super().payload(messages, stop, kwargs)


@fault("B4")
class OneSystemMessage(Full):
    """A second system message is refused."""

    def payload(self, messages, stop, kwargs) -> dict:
        if sum(each.type == "system" for each in messages) > 1:
            raise ValueError("only one system message is supported")
        return super().payload(messages, stop, kwargs)


@fault("B5")
class WritesIntoTheLastMessage(Full):
    """An instruction is appended to the caller's own message."""

    def payload(self, messages, stop, kwargs) -> dict:
        if isinstance(messages[-1].content, str):
            messages[-1].content += "\n"
        return super().payload(messages, stop, kwargs)


@fault("B5")
class WritesIntoBlocks(Full):
    """Blocks of content are changed in place, to what the server wants."""

    def payload(self, messages, stop, kwargs) -> dict:
        for message in messages:
            if isinstance(message.content, list):
                for block in message.content:
                    if isinstance(block, dict):
                        block.setdefault("cache_control", None)
        return super().payload(messages, stop, kwargs)


@fault("B5")
class EmptiesToolCalls(Full):
    """Tool calls are popped from the history while they are translated."""

    def payload(self, messages, stop, kwargs) -> dict:
        made = super().payload(messages, stop, kwargs)
        for message in messages:
            for call in getattr(message, "tool_calls", ()):
                call.pop("type", None)
        return made


@fault("B6")
class SameObject(Results):
    """Equal answers are one object, kept from the first call on."""

    _kept: dict[str, Any] = PrivateAttr(default_factory=dict)

    def changed(self, message, kwargs):
        return self._kept.setdefault(repr(message), message)


@fault("B6", verdict="WARN")
class IdOfItsOwn(Results):
    """The message has an id by chance, so that it can't be found by its run."""

    def changed(self, message, kwargs):
        return message.model_copy(update={"id": f"chatcmpl-{uuid.uuid4().hex}"})


class TakesNull(Answer):
    def delta(self, delta):
        if "content" in delta:
            delta["content"] + ""
        return super().delta(delta)


@fault("B7")
class NullIsNoText(Full):
    """`"content": null` raises."""

    reads = TakesNull


@fault("B8", verdict="WARN")
class DevelopersAreDropped(Full):
    """Messages of a role that it does not know are left out."""

    def payload(self, messages, stop, kwargs) -> dict:
        made = super().payload(messages, stop, kwargs)
        known = {"system", "user", "assistant", "tool"}
        made["messages"] = [each for each in made["messages"] if each["role"] in known]
        return made


@fault("B8", verdict="WARN")
class DevelopersAreUsers(Full):
    """The developer role is sent as the user's."""

    def payload(self, messages, stop, kwargs) -> dict:
        made = super().payload(messages, stop, kwargs)
        for each in made["messages"]:
            each["role"] = each["role"].replace("developer", "user")
        return made


class Raw:
    """A server's answer, as its client has it."""


@fault("B9")
class RawResponse(Results):
    """The client's own object stands in `response_metadata`."""

    def changed(self, message, kwargs):
        message.response_metadata["raw"] = Raw()
        return message


@fault("B9")
class SetInKwargs(Results):
    """`additional_kwargs` holds what JSON has no form for."""

    def changed(self, message, kwargs):
        message.additional_kwargs["flags"] = {Raw}
        return message


@fault("B10")
class BatchRaises(Full):
    """`batch` raises in spite of `return_exceptions`."""

    def batch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        return super().batch(inputs, config, return_exceptions=False, **kwargs)


@fault("B10")
class AbatchAsTheyCome(Full):
    """`abatch` gives answers in the order in which they come."""

    async def abatch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        results = await super().abatch(
            inputs, config, return_exceptions=return_exceptions, **kwargs
        )
        return results[::-1]


@fault("B10")
class BatchWithoutLimit(Full):
    """`max_concurrency` is overlooked by `abatch`."""

    async def abatch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        configs = config if isinstance(config, list) else [config] * len(inputs)
        configs = [{**(each or {}), "max_concurrency": None} for each in configs]
        calls = [
            self.ainvoke(each, own, **kwargs) for each, own in zip(inputs, configs, strict=True)
        ]
        return await asyncio.gather(*calls, return_exceptions=return_exceptions)


@fault("B10")
class BatchSharesOneRun(Full):
    """`batch` asks once and gives everybody the first answer."""

    def batch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        results = super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        return [results[0] for _ in results]
