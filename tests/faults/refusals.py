"""What is refused by its name, or is odd where nobody looks: doubts, and no faults."""

import warnings

from langchain_core.messages import AIMessage

from faults.controls import Full
from faults.kit import Results, Streams, fault


@fault("O2", verdict="WARN")
class UnknownMethodFallsOver(Full):
    """An unknown method raises, but not by its name."""

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        known = {"json_schema": method, "function_calling": method, "json_mode": method}
        return super().with_structured_output(schema, method=known[method], **kwargs)


@fault("O4", also="O2 O3 O5", verdict="WARN")
class NoRaw(Full):
    """`include_raw` is refused by name."""

    def with_structured_output(self, schema, *, include_raw=False, **kwargs):
        if include_raw:
            raise NotImplementedError("include_raw=True is not supported")
        return super().with_structured_output(schema, **kwargs)


@fault("P4", verdict="WARN")
class OneStopAlone(Full):
    """The constructor's `stop` and a call's at once are refused by name."""

    def stops(self, stop):
        if stop and self.stop:
            raise ValueError("`stop` found in both the input and default params.")
        return super().stops(stop)


@fault("M1", verdict="WARN")
class ReasoningBesideBlocks(Streams, Results):
    """Reasoning is in `additional_kwargs`, where core makes no block of it."""

    def change(self, chunk, number):
        chunk.message.response_metadata["model_provider"] = "openai"
        return [chunk]

    def changed(self, message, kwargs):
        message.response_metadata["model_provider"] = "openai"
        return message


@fault("T14", verdict="WARN")
class StrictIsNoParameter(Full):
    """`strict` goes into `**kwargs`, and is lost there."""

    def bind_tools(self, tools, *, tool_choice: str | dict | bool | None = None, **kwargs):
        kwargs.pop("strict", None)
        return super().bind_tools(tools, tool_choice=tool_choice, **kwargs)


@fault("T2", also="O1 O2 O3 O4 O5 O6", verdict="WARN")
class NoToolByName(Full):
    """A tool's name is refused as a choice, by name."""

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice not in {None, "any", "required", "auto", "none", True}:
            raise ValueError(f"tool_choice={tool_choice!r}: any, required, auto or none")
        return super().bind_tools(tools, tool_choice=tool_choice, **kwargs)


@fault("A5", verdict="WARN")
class NoSyncCallsInALoop(Full):
    """A sync call inside a running loop is refused, with what to do instead."""

    def _generate(self, *args, **kwargs):
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return super()._generate(*args, **kwargs)
        raise RuntimeError("Cannot use sync calls in an async context. Use the async API instead.")


class StrictAlways(Full):
    """`strict` is always on: True is taken, and False warned of."""

    def bind_tools(self, tools, *, strict: bool | None = None, **kwargs):
        if strict is False:
            warnings.warn("strict=False is not supported: it is always on", stacklevel=2)
        return super().bind_tools(tools, **kwargs)


class MethodIgnoredAloud(Full):
    """An unknown method is warned of."""

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        if method not in {"json_schema", "function_calling", "json_mode"}:
            warnings.warn(f"method={method!r} is ignored", stacklevel=2)
            method = "json_schema"
        return super().with_structured_output(schema, method=method, **kwargs)


class MessageOfItsOwn(Results):
    """Its messages have a further attribute, which LangChain knows nothing of."""

    def changed(self, message: AIMessage, kwargs: dict) -> AIMessage:
        message.role = "assistant"  # pydantic takes extras
        return message


HONEST = [(StrictAlways, "T14"), (MethodIgnoredAloud, "O2"), (MessageOfItsOwn, "B9")]
"""Models that break nothing, and the rule that could take them for it."""
