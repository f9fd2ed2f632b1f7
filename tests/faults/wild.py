"""Faults as people publish them: roles, retries, and streams that are read by hand."""

import asyncio
import re
import time

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import LLMResult
from pydantic import PrivateAttr

from faults.controls import Full
from faults.kit import fault
from faults.wire import Answer, Events


def recast(message, cls):
    return cls(message.content, id=message.id)


@fault("B11")
class SystemIsAnExample(Full):
    """Whatever is no user's message is sent as the assistant's."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        for each in made["messages"]:
            each["role"] = "user" if each["role"] == "user" else "assistant"
        return made


@fault("B11")
class AnswersAreQuestions(Full):
    """Earlier answers are sent in the user's name."""

    def payload(self, messages, stop, kwargs):
        given = [
            recast(each, HumanMessage) if isinstance(each, AIMessage) and each.text else each
            for each in messages
        ]
        return super().payload(given, stop, kwargs)


@fault("B11")
class ResultsAreForgotten(Full):
    """Results of tools are left out where no tools are bound."""

    def payload(self, messages, stop, kwargs):
        kept = [each for each in messages if kwargs.get("tools") or each.type != "tool"]
        return super().payload(kept, stop, kwargs)


@fault("B11")
class SystemIsDropped(Full):
    """The system message is left out of conversations of more than one turn."""

    def payload(self, messages, stop, kwargs):
        kept = [each for each in messages if len(messages) < 3 or each.type != "system"]
        return super().payload(kept, stop, kwargs)


@fault("E6")
class AllFailuresAreTriedThrice(Full):
    """Whatever fails is asked again, a wrong key too."""

    def received(self, payload):
        for attempt in range(3):
            try:
                yield from super().received(payload)
                return
            except Exception:
                if attempt == 2:
                    raise
                time.sleep(0.01)


@fault("E6")
class NoneMeansOneMore(Full):
    """`max_retries=0` is taken for unset, and one retry is made."""

    def received(self, payload):
        try:
            yield from super().received(payload)
        except Exception as error:
            if not getattr(error, "is_retryable", False):
                raise
            yield from super().received(payload)


class EveryLine(Events):
    def _line(self, line):
        text = line.decode(errors="replace").rstrip("\r")
        return text.removeprefix("data: ") if text else None


@fault("S16")
class EveryLineIsAnEvent(Full):
    """A comment is taken for JSON."""

    events = EveryLine


class WithBlank(Events):
    def _line(self, line):
        text = line.decode(errors="replace")
        return text[6:].rstrip("\r") if text.startswith("data: ") else None


@fault("S16")
class WantsABlank(Full):
    """What has no blank after `data:` is passed over, so that the answer breaks off."""

    events = WithBlank


class Packets(Events):
    def feed(self, data):
        return super().feed(data.decode(errors="replace").encode())


@fault("S16")
class DecodesPackets(Full):
    """Each packet is decoded by itself, so that letters on the border are lost."""

    events = Packets


class NoRest(Events):
    def feed(self, data):
        self._rest = b""
        return super().feed(data)


@fault("S16", also="*")
class PacketsAreWhole(Full):
    """A packet is taken to end where a line does."""

    events = NoRest


@fault("T2")
class TrueIsNothing(Full):
    """`tool_choice=True` is taken for no choice."""

    def choice(self, choice):
        return "auto" if choice is True else super().choice(choice)


@fault("T2")
class TrueIsDropped(Full):
    """`bind_tools` does not say that it takes True, and drops it without a word."""

    def bind_tools(self, tools, *, tool_choice: str | dict | None = None, **kwargs):
        choice = None if tool_choice is True else tool_choice
        return super().bind_tools(tools, tool_choice=choice, **kwargs)


@fault("T2", verdict="WARN")
class TrueGoesOut(Full):
    """`bind_tools` does not say that it takes True, and sends it as it is."""

    def bind_tools(self, tools, *, tool_choice: str | dict | None = None, **kwargs):
        return super().bind_tools(tools, tool_choice=tool_choice, **kwargs)

    def choice(self, choice):
        return choice if choice is True else super().choice(choice)


@fault("T1", also="T14", verdict="WARN")
class ToolsGoRoundIt(Full):
    """Tools are bound to another model, and not to the one that was asked to bind them."""

    def bind_tools(self, tools, **kwargs):
        names = ("base_url", "api_key", "auth", "model_name", "max_retries")
        return Full(**{name: getattr(self, name) for name in names}).bind_tools(tools, **kwargs)


@fault("T2")
class ObjectIsAny(Full):
    """`tool_choice` that names a tool by OpenAI's object forces any tool."""

    def choice(self, choice):
        return "required" if isinstance(choice, dict) else super().choice(choice)


@fault("T2")
class ObjectBreaks(Full):
    """`tool_choice` has to be a str, or a TypeError is raised."""

    def choice(self, choice):
        return super().choice("" + choice if choice is not True else choice)


@fault("T4")
class BuiltInAlone(Full):
    """Functions are dropped where one of the provider's own tools stands beside them."""

    def payload(self, messages, stop, kwargs):
        tools = kwargs.get("tools") or []
        own = [each for each in tools if "function" not in each]
        return super().payload(messages, stop, {**kwargs, "tools": own} if own else kwargs)


def without_parts(messages, role, keep):
    """Leave out the parts of messages of a role that are not to be kept."""
    for each in messages:
        if each["role"] == role and isinstance(each["content"], list):
            each["content"] = [*filter(keep, each["content"])]


@fault("M4")
class OneImageOnly(Full):
    """Of several images, only the first is sent."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        seen = []

        def first(part):
            seen.append(part["type"])
            return part["type"] == "text" or seen.count("image_url") == 1

        without_parts(made["messages"], "user", first)
        return made


@fault("M4")
class InlineImagesOnly(Full):
    """Images by their addresses are left out."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        without_parts(made["messages"], "user", lambda part: "'http" not in str(part))
        return made


@fault("M4")
class AddressesBreak(Full):
    """An image by its address is a KeyError."""

    def payload(self, messages, stop, kwargs):
        for message in messages:
            for block in message.content if isinstance(message.content, list) else ():
                if block["type"] == "image":
                    block["base64"]
        return super().payload(messages, stop, kwargs)


@fault("M4")
class ResultsAreText(Full):
    """Of a tool's result only the text is sent."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        without_parts(made["messages"], "tool", lambda part: part["type"] == "text")
        return made


class Breaks(Answer):
    def feed(self, event):
        if '"refusal": "' in event:
            raise TypeError("can only concatenate str, not None")
        yield from super().feed(event)


@fault("M8", also="B7")
class RefusalsBreak(Full):
    """A refusal, which has no content, is an accident of Python's."""

    reads = Breaks


@fault("K4")
class PicklesWithoutHeaders(Full):
    """What is made of a pickle has no headers of the user's any more."""

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "default_headers": None}}


@fault("K4")
class DeepCopiesWithoutHeaders(Full):
    """A deep copy has no headers of the user's any more."""

    def __deepcopy__(self, memo=None):
        return super().__deepcopy__(memo).model_copy(update={"default_headers": None})


@fault("O2")
class StrictSchemasAreNot(Full):
    """`strict` of `with_structured_output` is taken, and not sent."""

    def with_structured_output(self, schema, *, strict=None, **kwargs):
        return super().with_structured_output(schema, **kwargs)


@fault("T14", verdict="WARN")
class StrictForTheWholeRequest(Full):
    """`bind_tools` names no `strict`, and sends what it is given as the request's parameters."""

    def bind_tools(self, tools, *, tool_choice: str | dict | bool | None = None, **kwargs):
        more = {"strict": kwargs.pop("strict")} if kwargs.get("strict") is not None else {}
        return super().bind_tools(tools, tool_choice=tool_choice, **kwargs).bind(**more)

    def _resolve_model_profile(self):
        return {"image_inputs": True, "tool_calling": True}


@fault("T14")
class StrictIsLostBehindARefusal(Full):
    """`parallel_tool_calls` is refused by name, and `strict` is lost."""

    def bind_tools(self, tools, *, strict=None, **kwargs):
        if "parallel_tool_calls" in kwargs:
            raise ValueError("parallel_tool_calls is not supported")
        return super().bind_tools(tools, **kwargs)


@fault("A1")
class BlocksWithTools(Full):
    """With tools bound, `_agenerate` calls the blocking client."""

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        if kwargs.get("tools"):
            return self._generate(messages, stop, None, **kwargs)
        return await super()._agenerate(messages, stop, None, **kwargs)


@fault("A1")
class BlocksForStop(Full):
    """With a stop sequence, `_astream` iterates over the blocking client."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        if stop:
            for each in self._stream(messages, stop, None, **kwargs):
                yield each
            return
        async for each in super()._astream(messages, stop, None, **kwargs):
            yield each


_GATES: dict[str, asyncio.Semaphore] = {}


@fault("A5")
class GateOfTheFirstLoop(Full):
    """A semaphore lets four in, and belongs to the loop where the fifth had to wait."""

    async def areceived(self, payload):
        async with _GATES.setdefault(self.base_url, asyncio.Semaphore(4)):
            async for each in super().areceived(payload):
                yield each


@fault("C1", also="P1 P6 C9 C5 C4 C7 C8")
class EndsAtTheStop(Full):
    """Where a stop sequence comes, the run is ended by the model, and again by core."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager, **kwargs)
        if stop and run_manager:
            run_manager.on_llm_end(LLMResult(generations=[result.generations]))
        return result


_OPEN: list = []
_ID = re.compile(rb'"id": ?"(chatcmpl[^"]+)"')


@fault("C1")
class StaysOpen(Full):
    """A stream with a stop sequence goes on, and its run never ends, when it is closed."""

    def stream(self, prompt, config=None, *, stop=None, **kwargs):
        inner = super().stream(prompt, config, stop=stop, **kwargs)
        if stop:
            _OPEN.append(inner)
        yield from (each for each in inner)


@fault("E7", also="E5 A2 B4 B5 B11 K4")
class KeepsTheConversation(Full):
    """What users have said is kept, and sent with the next conversation."""

    _said: list = PrivateAttr(default_factory=list)

    def payload(self, messages, stop, kwargs):
        before = [*self._said]
        self._said += [each for each in messages if each.type == "human"]
        return super().payload([*before, *messages], stop, kwargs)


@fault("E7")
class KeepsTheAnswersId(Full):
    """The id of the last answer is kept, and sent with the next conversation."""

    _ids: list = PrivateAttr(default_factory=lambda: [None])

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        return {**made, "previous": self._ids[0]} if self._ids[0] else made

    def received(self, payload):
        for data in super().received(payload):
            if found := _ID.search(data):
                self._ids[0] = found[1].decode()
            yield data

    async def areceived(self, payload):
        async for data in super().areceived(payload):
            if found := _ID.search(data):
                self._ids[0] = found[1].decode()
            yield data
