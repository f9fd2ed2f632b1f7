"""Faults of the section Callbacks and events.

C1 to C11 are kept by core itself, as long as a model stays with `_generate` and `_stream`; what
breaks them is the overriding of `stream`, `_should_stream` and the like, and v3's native hooks.
"""

import uuid

from langchain_core.language_models._compat_bridge import achunks_to_events, chunks_to_events
from langchain_core.outputs import LLMResult
from langchain_core.tracers.base import BaseTracer

from faults.controls import Full
from faults.kit import Streams, fault


@fault("C1")
class EndsItsRunItself(Full):
    """`_generate` fires `on_llm_end`; so does core."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        if run_manager:
            run_manager.on_llm_end(LLMResult(generations=[result.generations]))
        return result


@fault("C1", also="E4")
class ReportsErrorsItself(Full):
    """`_agenerate` fires `on_llm_error` and raises; so does core."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        except Exception as error:
            if run_manager:
                await run_manager.on_llm_error(error, response=LLMResult(generations=[]))
            raise


def handlers(config):
    callbacks = (config or {}).get("callbacks") or []
    given = callbacks if isinstance(callbacks, list) else callbacks.handlers
    return [each for each in given if not isinstance(each, BaseTracer)]


@fault("C2", also="S11")  # with streaming disabled, too
class TokensTwice(Full):
    """`stream` fires a token callback of its own, beside core's, and gives it a str."""

    def stream(self, prompt, config=None, **kwargs):
        for each in super().stream(prompt, config, **kwargs):
            for handler in handlers(config):
                handler.on_llm_new_token(each.text, chunk=each.text, run_id=uuid.uuid4())
            yield each


@fault("C2", also="S11")
class AsyncTokensWithoutChunk(Full):
    """`astream` fires a further token callback, without a chunk."""

    async def astream(self, prompt, config=None, **kwargs):
        async for each in super().astream(prompt, config, **kwargs):
            for handler in handlers(config):
                handler.on_llm_new_token(each.text, run_id=uuid.uuid4())
            yield each


@fault("C3", also="S11", verdict="WARN")  # with streaming disabled, too
class TokensFromGenerate(Full):
    """`_generate` fires the token callback with the whole text."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        if run_manager:
            run_manager.on_llm_new_token(result.generations[0].text)
        return result


@fault("C3", also="S11", verdict="WARN")
class TokensFromAgenerate(Full):
    """`_agenerate` streams behind the scenes, and fires the callbacks of each piece."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        result = await super()._agenerate(messages, stop, run_manager, **kwargs)
        if run_manager:
            for word in result.generations[0].text.split():
                await run_manager.on_llm_new_token(word)
        return result


# `astream_events` is core's; to break one version alone, one has to override it.
class EventsChanged(Full):
    version: str = ""

    def astream_events(self, prompt, config=None, *, version="v2", **kwargs):
        events = super().astream_events(prompt, config, version=version, **kwargs)
        return events if version != self.version else self.changed(events)

    async def changed(self, events):
        async for each in events:
            yield each


@fault("C4")
class EndMissingInV1(EventsChanged):
    """The v1 events have no end."""

    version: str = "v1"

    async def changed(self, events):
        async for each in events:
            if each["event"] != "on_chat_model_end":
                yield each


@fault("C5")
class ParentsMissingInV2(EventsChanged):
    """The v2 events have no `parent_ids`."""

    version: str = "v2"

    async def changed(self, events):
        async for each in events:
            each.pop("parent_ids", None)
            yield each


@fault("C5")
class EndTwiceInV2(EventsChanged):
    """The v2 events end twice."""

    version: str = "v2"

    async def changed(self, events):
        async for each in events:
            yield each
            if each["event"] == "on_chat_model_end":
                yield each


@fault("C6", also="C10")  # LangGraph relies on the same
class StreamsOnlyIfTold(Full):
    """`_should_stream` looks at `stream` and at `streaming`, not at who listens."""

    def _should_stream(self, *, async_api, run_manager=None, **kwargs) -> bool:
        return super()._should_stream(async_api=async_api, run_manager=None, **kwargs)


class Native(Full):
    """`Full`, with native hooks for v3; `event` changes what they give."""

    def event(self, event):
        return [event]

    def _stream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs):
        chunks = self._stream(messages, stop, None, **kwargs)
        run_id = f"lc_run--{run_manager.run_id}" if run_manager else None
        for each in chunks_to_events(chunks, message_id=run_id):
            yield from self.event(each)

    async def _astream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs):
        chunks = self._astream(messages, stop, None, **kwargs)
        run_id = f"lc_run--{run_manager.run_id}" if run_manager else None
        async for each in achunks_to_events(chunks, message_id=run_id):
            for changed in self.event(each):
                yield changed


@fault("C7", also="A4 C8 C11 M5 T10 T11")
class BlocksNeverFinish(Native):
    """The native hook of v3 sends no `content-block-finish`."""

    def event(self, event):
        return [] if event["event"] == "content-block-finish" else [event]


@fault("C7", also="A4 C8 C11 M5 T10 T11")
class TwoStarts(Native):
    """The native hook of v3 sends `message-start` twice."""

    def event(self, event):
        return [event, event] if event["event"] == "message-start" else [event]


@fault("C8", also="U1")
class NoUsageInV3(Native):
    """The native hook of v3 has forgotten the usage."""

    def event(self, event):
        return [{k: v for k, v in event.items() if k != "usage"}]


@fault("P6", also="C7 C8 C11 A4")
class AsyncV3IgnoresStop(Native):
    """The native hook of v3 has forgotten `stop`, and so the text is another one."""

    async def _astream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs):
        async for each in super()._astream_chat_model_events(messages, [], run_manager, **kwargs):
            yield each


@fault("C9", also="A2")
class StreamAddsAfterwards(Full):
    """`stream` adds to what core has given to the callbacks already."""

    def stream(self, *args, **kwargs):
        for each in super().stream(*args, **kwargs):
            if getattr(each, "chunk_position", None) == "last":
                yield each.model_copy(update={"additional_kwargs": {"session": "1"}})
            else:
                yield each


# The text of `stream` is another one, whatever is asked.
@fault("C9", also="S2 A2 P1 P2 P3 P4 P5 P6 C2 C8 M1 O5 E2 E5 B7 S9")
class StreamMasksWords(Full):
    """`stream` masks words of what core has given to the callbacks already."""

    def stream(self, *args, **kwargs):
        for each in super().stream(*args, **kwargs):
            if isinstance(each.content, str):
                each = each.model_copy(update={"content": each.content.replace("cat", "***")})
            yield each


@fault("C9", verdict="WARN")
class LeavesTheEndToCore(Streams):
    """The end is left to core, which does not keep it: under v1 `on_llm_end` has unparsed calls."""

    def change(self, chunk, number):
        chunk.message.chunk_position = None
        return [chunk]


@fault("C10", also="B6")
class AnotherIdInTheEnd(Full):
    """The message of `ainvoke` gets an id of its own, in whatever way it was made."""

    async def _agenerate_with_cache(self, *args, **kwargs):
        result = await super()._agenerate_with_cache(*args, **kwargs)
        message = result.generations[0].message
        message.id = f"{message.id}-final"
        return result


@fault("C11")
class FiresEventsItself(Native):
    """The native hook of v3 hands its events to the listeners; so does core."""

    def _stream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs):
        for each in super()._stream_chat_model_events(messages, stop, run_manager, **kwargs):
            if run_manager:
                run_manager.on_stream_event(each)
            yield each

    async def _astream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs):
        events = super()._astream_chat_model_events(messages, stop, run_manager, **kwargs)
        async for each in events:
            if run_manager:
                await run_manager.on_stream_event(each)
            yield each
