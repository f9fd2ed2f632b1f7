"""Faults of the sections Structured output and Content."""

from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from faults.controls import Full
from faults.kit import Results, Streams, fault
from faults.structured import asking, parsed, structured
from faults.wire import Answer, chunk


@fault("O1", verdict="WARN")
class NoTypedDictOutput(Full):
    """A TypedDict is no schema."""

    def with_structured_output(self, schema, **kwargs):
        if hasattr(schema, "__total__"):
            raise TypeError("schema must be a pydantic class or a JSON schema")
        return super().with_structured_output(schema, **kwargs)


@fault("O1", also="O2 O5")
class DictsForClasses(Full):
    """A pydantic class is taken, and a dict comes back."""

    def with_structured_output(self, schema, **kwargs):
        made = super().with_structured_output(schema, **kwargs)
        if kwargs.get("include_raw") or not isinstance(schema, type):
            return made
        return made | RunnableLambda(lambda each: each if isinstance(each, dict) else vars(each))


@fault("O1", also="A2 O2 O5")
class AsyncIsRaw(Full):
    """The parser has been forgotten in `ainvoke`."""

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        made = super().with_structured_output(schema, method=method, **kwargs)
        if kwargs.get("include_raw"):
            return made
        asked = asking(self, schema, method, None, {})
        return RunnableLambda(made.invoke, asked.ainvoke)


@fault("O2", also="O3", verdict="WARN")
class AnyMethod(Full):
    """An unknown method is taken for the default."""

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        known = {"json_schema", "function_calling", "json_mode"}
        method = method if method in known else "json_schema"
        return super().with_structured_output(schema, method=method, **kwargs)


@fault("O2", verdict="WARN")
class NoStrict(Full):
    """`strict` is no parameter of `with_structured_output`."""

    def with_structured_output(self, schema, *, method="json_schema", include_raw=False):
        return structured(self, schema, method=method, include_raw=include_raw, strict=None)


@fault("O2", also="O1", verdict="WARN")
class OneMethod(Full):
    """`json_mode` raises."""

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        if method == "json_mode":
            raise ValueError("json_mode is not supported")
        return super().with_structured_output(schema, method=method, **kwargs)


@fault("O3", verdict="WARN")
class NotTraced(Full):
    """The trace does not show the schema."""

    def bind(self, **kwargs):
        kwargs.pop("ls_structured_output_format", None)
        return super().bind(**kwargs)


@fault("O3", verdict="WARN")
class TraceIsSent(Full):
    """What is for the trace is sent to the server, under another name."""

    def bind(self, **kwargs):
        trace = kwargs.get("ls_structured_output_format")
        if trace:
            kwargs["extra_body"] = {"ls_structured_output_format": trace}
        return super().bind(**kwargs)


@fault("O4")
class RawRaises(Full):
    """With `include_raw`, what can't be parsed raises all the same."""

    def with_structured_output(self, schema, *, method="json_schema", include_raw=False, **kwargs):
        if not include_raw:
            return super().with_structured_output(schema, method=method, **kwargs)
        by_call = method == "function_calling"

        def parse(message):
            made = parsed(message, schema, by_call=by_call)
            return {"raw": message, "parsed": made, "parsing_error": None}

        return asking(self, schema, method, kwargs.get("strict"), {}) | RunnableLambda(parse)


@fault("O4")
class ErrorIsSwallowed(Full):
    """With `include_raw`, `parsing_error` is never filled."""

    def with_structured_output(self, schema, *, include_raw=False, **kwargs):
        made = super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if not include_raw:
            return made
        return made | RunnableLambda(lambda each: {**each, "parsing_error": None})


@fault("O5", also="O1 O2")
class LastPartialIsMissing(Full):
    """The last partial is one short of what `invoke` returns."""

    def with_structured_output(self, schema, *, include_raw=False, **kwargs):
        made = super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if include_raw:
            return made

        def partial(values):
            for each in values:
                some = each if isinstance(each, dict) else each.__dict__
                yield dict([*some.items()][:-1])

        async def apartial(values):
            async for each in values:
                for made in partial([each]):
                    yield made

        short = RunnableGenerator(partial, apartial)

        class Short(type(made)):
            def stream(self, *args, **kwargs):
                return (made | short).stream(*args, **kwargs)

            def astream(self, *args, **kwargs):
                return (made | short).astream(*args, **kwargs)

        return Short(first=made.first, middle=made.middle, last=made.last)


@fault("O6", also="T3")
class FencedJson(Results):
    """It says that it has structured output, and its JSON stands in a fence."""

    def changed(self, message, kwargs):
        if kwargs.get("response_format") and "{" in message.text:
            message.content = f"```json\n{message.text}\n```"
        return message

    def with_structured_output(self, schema, *, method="json_schema", **kwargs):
        return Full.with_structured_output(
            Full(**{name: getattr(self, name) for name in self.model_fields_set}),
            schema,
            method=method,
            **kwargs,
        )


# Content.


@fault("M1")
class ReasoningInTheText(Full):
    """Reasoning stands in the text, between tags."""

    class reads(Answer):  # noqa: N801
        def reasoning(self, text):
            return [chunk(content=f"<think>{text}</think>")]


@fault("M1", verdict="WARN")
class ReasoningLost(Full):
    """Reasoning is dropped."""

    class reads(Answer):  # noqa: N801
        def reasoning(self, text):
            return []


@fault("M1", also="A2 S2 C8")
class ReasoningLostInStreams(Streams):
    """Reasoning is dropped by streams."""

    def change(self, chunk, number):
        chunk.message.additional_kwargs = {}
        return [chunk]


@fault("M2", also="T11")
class BlocksWithoutIndexes(Streams):
    """Content is a list of blocks without indexes, so that they don't merge."""

    def change(self, chunk, number):
        text = chunk.message.content
        chunk.message.content = [{"type": "text", "text": text}] if text else []
        return [chunk]


@fault("M2", also="T11")
class IndexPerChunk(Streams):
    """Each chunk's block has an index of its own."""

    def change(self, chunk, number):
        text = chunk.message.content
        if self.output_version != "v1":
            block = {"type": "text", "text": text, "index": number}
            chunk.message.content = [block] if text else []
        return [chunk]


@fault("M3", also="M1", verdict="WARN")  # core leaves the reasoning of `openai` out
class SaysOpenai(Full):
    """An answer says `openai`, the trace says something else."""

    class reads(Answer):  # noqa: N801
        def metadata(self):
            return {**super().metadata(), "model_provider": "openai"}


def blocks_of(messages) -> list[tuple[Any, dict]]:
    return [
        (message, block)
        for message in messages
        for block in (message.content if isinstance(message.content, list) else ())
        if isinstance(block, dict)
    ]


TEXT = {"text", "reasoning", "thinking", "tool_use", "tool_result", "tool_call"}


@fault("M4")
class MediaDropped(Full):
    """Images, and whatever else it can't take, are dropped silently."""

    def payload(self, messages, stop, kwargs):
        kept = []
        for message in messages:
            if isinstance(message.content, list):
                blocks = [b for b in message.content if isinstance(b, str) or b["type"] in TEXT]
                message = message.model_copy(update={"content": blocks})
            kept.append(message)
        return super().payload(kept, stop, kwargs)


# Images of v0 can't be refused: core has made v1 of them before a model sees them.
@fault("M4")
class NoInlineImages(Full):
    """Images have to have an address: inline ones raise a KeyError."""

    def payload(self, messages, stop, kwargs):
        for _, block in blocks_of(messages):
            if block.get("type") == "image" and "base64" in block:
                raise KeyError("url")
        return super().payload(messages, stop, kwargs)


@fault("M4")
class AudioBecomesText(Full):
    """What it can't take is shown to the LLM as Python's repr of it."""

    def payload(self, messages, stop, kwargs):
        shown = []
        for message in messages:
            if isinstance(message.content, list):
                known = {*TEXT, "image", "image_url"}
                blocks = [
                    b if isinstance(b, str) or b["type"] in known else repr(b)
                    for b in message.content
                ]
                message = message.model_copy(update={"content": blocks})
            shown.append(message)
        return super().payload(shown, stop, kwargs)


@fault("M5", also="T13")
class OwnListsRefused(Full):
    """An earlier answer's content has to be a str, but under v1 it is a list."""

    def payload(self, messages, stop, kwargs):
        for message in messages:
            if isinstance(message, AIMessage) and isinstance(message.content, list):
                message.content.strip()
        return super().payload(messages, stop, kwargs)


@fault("M5", also="T12 T13 B4 B5")
class OwnCallsRefused(Full):
    """An earlier answer with calls is refused, because its text is empty."""

    def payload(self, messages, stop, kwargs):
        for message in messages:
            if isinstance(message, AIMessage) and not message.text and message.tool_calls:
                raise ValueError("messages must have content")
        return super().payload(messages, stop, kwargs)
