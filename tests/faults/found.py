"""Faults that check's rules once let through: people who had not written them thought of these."""

import asyncio
import os
import re

from langchain_core.exceptions import ModelRateLimitError
from langchain_core.messages import AIMessage
from pydantic import PrivateAttr, SecretStr, model_validator

from faults.controls import Full
from faults.kit import Results, Streams, fault
from faults.wire import Answer, Stops, with_stops


class Expressions(Stops):
    def feed(self, text):
        text = self.held + text
        found = [each for stop in self.stops if (each := re.search(stop, text))]
        if not found:
            return super().feed(text[len(self.held) :])
        first = min(found, key=lambda each: each.end())
        self.matched, self.held = first.group(), ""
        return text[: first.end()]


@fault("P2", also="P1 P3 P4 P5 P6 P7")
class StopIsAnExpression(Full):
    """A stop sequence is taken for a regular expression: `.` ends the text at its first letter."""

    reads = with_stops(Expressions)

    def stops(self, stop):
        return [each.replace("(", "[(]") for each in super().stops(stop)]


class NotAtTheStart(Stops):
    def feed(self, text):
        whole = self.held + text
        if any(whole.startswith(stop) for stop in self.stops) and not self.begun:
            self.begun, self.held = True, ""
            return whole
        self.begun = self.begun or bool(text)
        return super().feed(text)

    begun = False


@fault("P2", also="P3")
class StopAtTheStart(Full):
    """A stop sequence at the very start is not found: `find() > 0`."""

    reads = with_stops(NotAtTheStart)


@fault("P4", also="E5 P1 P2 P3 P5 P6 P7 B5 A2 K4 S3 S4 S5 S6 S7 S8")
class StopStays(Full):
    """A call's stop sequences stay in force for the calls after it."""

    _kept: list = PrivateAttr(default_factory=list)

    def stops(self, stop):
        self._kept += [each for each in super().stops(stop) if each not in self._kept]
        return [*self._kept]


@fault("S2", also="A2 C8 C9 E5 P3 P6")
class DropsRepeats(Full):
    """A piece that is equal to the one before is taken for a repetition, and dropped."""

    class reads(Answer):  # noqa: N801
        before = None

        def text(self, text):
            same, self.before = text == self.before, text
            return [] if same else super().text(text)


@fault("S7", also="C8 C9 U5 T10 T11 M2 A2 S2 B9 E5")
class NameTwiceWithCalls(Streams):
    """Streams of calls have the model's name on the call as well: it comes out twice as long."""

    def change(self, chunk, number):
        if chunk.message.tool_call_chunks:
            chunk.message.response_metadata["model_name"] = self.model_name
        return [chunk]


@fault("B6", also="S4 C1 C7 C8 C9 C10 C11 A4 M5")
class StreamsShareAnId(Streams):
    """All streams of an instance have one id, so that LangGraph replaces one by the other."""

    def change(self, chunk, number):
        chunk.message.id = f"stream-{id(self)}"
        return [chunk]


@fault("B10")
class BatchSwallows(Full):
    """`batch` leaves failed answers out, though nobody asked for that."""

    def batch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        found = super().batch(inputs, config, return_exceptions=True, **kwargs)
        if return_exceptions:
            return found
        return [each for each in found if not isinstance(each, Exception)]


@fault("A2", also="B3 R2")
class AsyncForgetsTemperature(Full):
    """The constructor's temperature is forgotten by async calls."""

    async def areceived(self, payload):
        if payload.get("temperature") == self.temperature:
            payload = {name: value for name, value in payload.items() if name != "temperature"}
        async for data in super().areceived(payload):
            yield data


@fault("R2", also="B3")
class TemperatureLostInStreams(Full):
    """The constructor's temperature is not sent where a stream was asked for."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        return self.model_copy(update={"temperature": None})._streamed(messages, stop, kwargs)

    def _streamed(self, messages, stop, kwargs):
        return self.chunks(self.answer(stop), self.payload(messages, stop, kwargs))


@fault("U1", also="U2 U3 U5 C8 C9 S2 A2")
class UsageLostWithCalls(Results):
    """An answer that calls a tool has no usage by `invoke`: another return in the code."""

    def changed(self, message, kwargs):
        return (
            message.model_copy(update={"usage_metadata": None}) if message.tool_calls else message
        )


@fault("U1", also="U2 U3 U4 A2")
class CountsPieces(Full):
    """Output tokens are the number of pieces that came."""

    class reads(Answer):  # noqa: N801
        pieces = 0

        def text(self, text):
            self.pieces += bool(text)
            return super().text(text)

        def counts(self):
            told = super().counts()
            if not told:
                return told
            made = self.pieces
            total = told["input_tokens"] + made
            return {**told, "output_tokens": made, "total_tokens": total}


@fault("U4", also="U1 U2", verdict="WARN")
class CachedOnTop(Full):
    """Cached tokens, which the server has counted already, are added on top."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            told = super().counts()
            more = ((told or {}).get("input_token_details") or {}).get("cache_read", 0)
            if not more:
                return told
            total = told["total_tokens"] + more
            return {**told, "input_tokens": told["input_tokens"] + more, "total_tokens": total}


@fault("K1")
class KeyOfTheLimit(Full):
    """The error of a rate limit tells whose limit it is: the key's."""

    def translated(self, error):
        known = super().translated(error)
        if isinstance(known, ModelRateLimitError) and self.api_key:
            return ModelRateLimitError(f"no calls are left for {self.api_key.get_secret_value()}")
        return known


@fault("K2", verdict="WARN")
class EnvironmentWins(Full):
    """The variable of the environment wins over the key that was given."""

    @model_validator(mode="after")
    def _from_environment(self):
        if key := os.environ.get("HANDMADE_API_KEY"):
            self.api_key = SecretStr(key)
        return self


@fault("R1", verdict="WARN")
class TracesItsOwnTemperature(Full):
    """The constructor's temperature is traced where a call has another."""

    def _get_ls_params(self, stop=None, **kwargs):
        kwargs.pop("temperature", None)
        return super()._get_ls_params(stop, **kwargs)


@fault("R6")
class KeyByToolNames(Full):
    """The cache key has the names of tools, and not their schemas."""

    def _get_llm_string(self, stop=None, **kwargs):
        tools = [each.get("function", each).get("name") for each in kwargs.pop("tools", ())]
        return super()._get_llm_string(stop, **kwargs, tool_names=tools)


@fault("E4")
class CancelBecomesAnError(Full):
    """A stream that is cancelled raises an error of its own in place of CancelledError."""

    async def _astream(self, *args, **kwargs):
        try:
            async for each in super()._astream(*args, **kwargs):
                yield each
        except asyncio.CancelledError:
            raise RuntimeError("the stream was interrupted") from None


@fault("E2", also="E1 A2 K1")
class HalfForWhole(Full):
    """`invoke` takes what came before the connection was lost for the answer."""

    def check_end(self, answer):
        return

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        answer, chunks = self.answer(stop), []
        try:
            chunks.extend(self.chunks(answer, self.payload(messages, stop, kwargs)))
        except Exception:
            if not chunks:
                raise
            chunks.extend(answer.end())
        return self.result(answer, chunks)


@fault("E5", also="S2 B6 T5 T8 T9 T10 T11 C8 C9 O1 O5 A2 R2")
class CallsStay(Full):
    """Calls of earlier answers come again with the next one."""

    _before: list = PrivateAttr(default_factory=list)

    def result(self, answer, chunks):
        result = super().result(answer, chunks)
        message = result.generations[0].message
        known = {each["id"] for each in message.tool_calls}
        message.tool_calls += [each for each in self._before if each["id"] not in known]
        self._before = [*message.tool_calls]
        return result


@fault("T6", also="T7 M5")
class OneBadSpoilsAll(Results):
    """One broken call makes all of an answer's calls invalid."""

    def changed(self, message, kwargs):
        if not message.invalid_tool_calls or not message.tool_calls:
            return message
        bad = [
            {"name": each["name"], "args": str(each["args"]), "id": each["id"], "error": None}
            for each in message.tool_calls
        ]
        return AIMessage(
            message.content,
            invalid_tool_calls=[*message.invalid_tool_calls, *bad],
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
        )


@fault("T12", also="T13 M5")
class ResultsWithoutIds(Full):
    """Tools' results are sent without the ids of their calls."""

    def payload(self, messages, stop, kwargs):
        payload = super().payload(messages, stop, kwargs)
        for each in payload["messages"]:
            each.pop("tool_call_id", None)
        return payload


@fault("M5", also="T12 T13")
class ArgumentsAsObjects(Full):
    """The arguments of calls in a history are sent as objects; OpenAI's wire has them as text."""

    def payload(self, messages, stop, kwargs):
        payload = super().payload(messages, stop, kwargs)
        for message in payload["messages"]:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = {"text": call["function"]["arguments"]}
        return payload


@fault("T1", also="T14")
class ToolsPileUp(Full):
    """Each `bind_tools` adds to the tools of the instance."""

    _all: list = PrivateAttr(default_factory=list)

    def bind_tools(self, tools, *, tool_choice=None, strict=None, **kwargs):
        self._all += [self.tool(each, strict) for each in tools]
        return super().bind_tools([*self._all], tool_choice=tool_choice, strict=strict, **kwargs)


@fault("M4")
class TextBesideImagesLost(Full):
    """Of a message with an image, only the image is sent."""

    def payload(self, messages, stop, kwargs):
        payload = super().payload(messages, stop, kwargs)
        for each in payload["messages"]:
            if isinstance(each["content"], list):
                each["content"] = [part for part in each["content"] if part["type"] != "text"]
        return payload
