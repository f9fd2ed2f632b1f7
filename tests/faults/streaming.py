"""Faults of the section Streaming."""

import uuid

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk

from faults.controls import Full
from faults.kit import Results, Streams, fault, is_last
from faults.wire import Answer, chunk


# What yields no chunks can't be added up: whatever looks at streams fails.
@fault("S1", also="*")
class WholeMessages(Full):
    """`stream` is overridden, and yields an `AIMessage` per piece."""

    def stream(self, *args, **kwargs):
        for each in super().stream(*args, **kwargs):
            yield AIMessage(**{k: getattr(each, k) for k in ("content", "id", "response_metadata")})


@fault("S2")
class StripsPieces(Streams):
    """The line break at the end of each piece is taken off."""

    def change(self, chunk, number):
        chunk.message.content = chunk.message.content.rstrip("\n")
        return [chunk]


@fault("S2", also="T11")
class StripsTheWhole(Results):
    """`invoke` strips its answer, `stream` doesn't."""

    def changed(self, message, kwargs):
        message.content = message.content.strip()
        return message


@fault("S2", also="A2")  # sync and async differ then
class AlwaysStop(Full):
    """`astream` says `stop`, whatever ended the answer."""

    async def _astream(self, *args, **kwargs):
        async for each in super()._astream(*args, **kwargs):
            if each.message.response_metadata:
                each.message.response_metadata["finish_reason"] = "stop"
            yield each


# Calls that end before their end are parsed too early.
@fault("S3", also="T10", verdict="WARN")
class TwoEnds(Streams):
    """The piece before the last says that it is the last, too."""

    def change(self, chunk, number):
        if number == 0:
            chunk.message.chunk_position = "last"
        return [chunk]


@fault("S3", also="C8 T10 T11 M5", verdict="WARN")
class EndOnEveryChunk(Streams):
    """Each chunk says that it is the last."""

    def change(self, chunk, number):
        chunk.message.chunk_position = "last"
        return [chunk]


@fault("S4", also="C10")  # LangGraph puts chunks together by their ids
class NewIdPerChunk(Streams):
    """Each chunk has an id of its own."""

    def change(self, chunk, number):
        chunk.message.id = f"chunk-{uuid.uuid4()}"
        return [chunk]


@fault("S4", also="A2 C10")
class NewIdPerAsyncChunk(Full):
    """Each chunk of `astream` has an id of its own."""

    async def _astream(self, *args, **kwargs):
        async for each in super()._astream(*args, **kwargs):
            each.message.id = str(uuid.uuid4())
            yield each


@fault("S5")
class ListAtTheEnd(Streams):
    """Text is str, and the last chunk's content is a list."""

    def change(self, chunk, number):
        if is_last(chunk):
            chunk.message.content = []
        return [chunk]


# Finish reason, model name and provider are gone with it.
@fault("S6", also="S2 A2 P7 C8 C9 U5 M3 R1 E4")
class NoMetadata(Streams):
    """A stream tells nothing about its answer."""

    def change(self, chunk, number):
        chunk.message.response_metadata = {}
        return [chunk]


@fault("S7", also="S2 A2 P7 C8")  # a reason that is repeated is another one
class ReasonOnEveryChunk(Streams):
    """`finish_reason` comes with every chunk."""

    def change(self, chunk, number):
        chunk.message.response_metadata.setdefault("finish_reason", "stop")
        return [chunk]


@fault("S7", also="U5 M3 R1")  # the name by which usage is counted is the joined one
class NameOnEveryChunk(Streams):
    """`model_name` comes with every chunk, as servers send it."""

    def change(self, chunk, number):
        chunk.message.response_metadata.setdefault("model_name", self.model_name)
        return [chunk]


@fault("S7")
class FingerprintInGenerationInfo(Streams):
    """`generation_info`, which core makes metadata of, has the fingerprint on every chunk."""

    def change(self, chunk, number):
        info = {"system_fingerprint": "fp_1"}
        return [ChatGenerationChunk(message=chunk.message, generation_info=info)]


@fault("S8")
class CreatedOnEveryChunk(Streams):
    """The server's time, a whole number, comes with every chunk and is summed."""

    def change(self, chunk, number):
        chunk.message.response_metadata["created"] = 1_700_000_000
        return [chunk]


# Numbers that differ, and bools, raise where core adds chunks up: no stream ever ends.
@fault("S8", also="*")
class SpeedOnEveryChunk(Streams):
    """A float, the speed so far, comes with every chunk."""

    def change(self, chunk, number):
        chunk.message.response_metadata["tokens_per_second"] = 1.5 + number
        return [chunk]


# Nothing has come when the connection is lost or the caller goes away.
@fault("S9", also="P3 P6 C8 E2 E4")
class GathersFirst(Full):
    """The answer is gathered, and then yielded piece by piece."""

    def _stream(self, *args, **kwargs):
        yield from [*super()._stream(*args, **kwargs)]

    async def _astream(self, *args, **kwargs):
        for each in [each async for each in super()._astream(*args, **kwargs)]:
            yield each


@fault("S9", also="A2 P3 P6 C8 E2 E4")
class GathersAsyncFirst(Full):
    """`astream` awaits the whole answer before it yields it."""

    async def _astream(self, *args, **kwargs):
        for each in [each async for each in super()._astream(*args, **kwargs)]:
            yield each


@fault("S10", verdict="WARN")
class StreamTwice(Full):
    """`stream=True` in a call is a TypeError: it is given twice."""

    def payload(self, messages, stop, kwargs) -> dict:
        return {**super().payload(messages, stop, kwargs), **self.sent(stream=True, **kwargs)}

    @staticmethod
    def sent(*, stream: bool, **kwargs) -> dict:
        return {"stream": stream}


@fault("S11", also="C5")
class NeverDisabled(Full):
    """`disable_streaming` and `streaming=False` are overlooked."""

    def _streaming_disabled(self, **kwargs) -> bool:
        return False


@fault("S11")
class StreamsWithTools(Full):
    """`disable_streaming="tool_calling"` is overlooked."""

    def _streaming_disabled(self, **kwargs) -> bool:
        return super()._streaming_disabled(**{k: v for k, v in kwargs.items() if k != "tools"})


class OnlyText(Answer):
    said = False

    def text(self, text):
        self.said = self.said or bool(text)
        return super().text(text)

    def end(self):
        return super().end() if self.said or self.calls else []


@fault("S12", also="B7")
class NothingForEmpty(Full):
    """An empty answer yields no chunk."""

    reads = OnlyText

    def result(self, answer, chunks):
        return super().result(answer, chunks or [chunk()])


@fault("S12", also="B7")
class NothingForEmptyAsync(Full):
    """An empty answer yields no chunk in `astream`."""

    async def _astream(self, *args, **kwargs):
        said = False
        async for each in super()._astream(*args, **kwargs):
            said = said or not is_last(each)
            if said:
                yield each


@fault("S13", also="M2 T11")
class BlockPerChunk(Streams):
    """Under v1 each piece is a text block of its own."""

    def change(self, chunk, number):
        if self.output_version == "v1" and chunk.message.content:
            block = {"type": "text", "text": chunk.message.content, "index": number}
            chunk.message.content = [block]
            chunk.message.response_metadata["output_version"] = "v1"
        return [chunk]
