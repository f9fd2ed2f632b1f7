"""Faults of the section Tools."""

import json

from langchain_core.messages import ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.json import parse_partial_json

from faults.controls import Full
from faults.kit import Results, fault
from faults.wire import Answer, chunk


@fault("T1", also="O2")
class OnlyBaseTools(Full):
    """Tools have to be LangChain's own, or dicts."""

    def tool(self, tool, strict):
        if not isinstance(tool, BaseTool | dict):
            raise TypeError(f"not a tool: {tool!r}")
        return super().tool(tool, strict)


@fault("T1")
class NoTypedDicts(Full):
    """A TypedDict can't be bound."""

    def tool(self, tool, strict):
        if hasattr(tool, "__total__"):
            raise TypeError(f"not a tool: {tool!r}")
        return super().tool(tool, strict)


@fault("T1", also="*", verdict="WARN")  # what is bound has no v3 and can't be looked into
class BindsALambda(Full):
    """`bind_tools` returns a function that calls the model, and no binding."""

    def bind_tools(self, tools, **kwargs):
        bound = super().bind_tools(tools, **kwargs)
        return RunnableLambda(bound.invoke, bound.ainvoke)


@fault("T2", also="O1")
class ChoiceIgnored(Full):
    """`tool_choice` is taken, and not sent."""

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return super().bind_tools(tools, **kwargs)


@fault("T2")
class AnyIsSentAsItIs(Full):
    """`any` is sent as it is, which OpenAI's wire does not know."""

    def choice(self, choice):
        return choice if choice == "any" else super().choice(choice)


@fault("T2")
class NoneIsRefused(Full):
    """`tool_choice="none"` raises."""

    def choice(self, choice):
        if choice == "none":
            raise ValueError("tool_choice must be auto or any")
        return super().choice(choice)


@fault("T2")
class NameIsSentAsItIs(Full):
    """A tool's name is sent as the choice, not as the object that the wire wants."""

    def choice(self, choice):
        return "required" if choice is True or choice == "any" else choice


@fault("T3")
class NoEmptyTools(Full):
    """`bind_tools([])` raises."""

    def bind_tools(self, tools, **kwargs):
        if not tools:
            raise ValueError("at least one tool is needed")
        return super().bind_tools(tools, **kwargs)


@fault("T3", also="O6")  # agents bind it so
class FormatIsLost(Full):
    """`response_format` is lost in `bind_tools`."""

    def bind_tools(self, tools, *, response_format=None, **kwargs):
        return super().bind_tools(tools, **kwargs)


@fault("T4", verdict="WARN")
class BuiltInRefused(Full):
    """A provider's built-in tool is refused."""

    def tool(self, tool, strict):
        if isinstance(tool, dict) and not {"function", "name", "title"} & {*tool}:
            raise ValueError("Unsupported function")
        return super().tool(tool, strict)


@fault("T4", verdict="WARN")
class BuiltInDropped(Full):
    """A provider's built-in tool is dropped silently."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        if "tools" in made:
            made["tools"] = [each for each in made["tools"] if each.get("type") == "function"]
        return made


@fault("T5", verdict="WARN")
class NoIdWhereNoneCame(Full):
    """Where the server sends no id, the call has none."""

    class reads(Answer):  # noqa: N801
        def new_id(self):
            return None


@fault("T5", verdict="WARN")
class EmptyId(Full):
    """Where the server sends no id, it is empty."""

    class reads(Answer):  # noqa: N801
        def new_id(self):
            return ""


@fault("T5")
class IdIsTheName(Full):
    """Calls are named by their tools, so that two calls of one tool have one id."""

    class reads(Answer):  # noqa: N801
        def call(self, index, call):
            name = (call.get("function") or {}).get("name")
            return super().call(index, {**call, "id": f"call_{name}" if name else None})

        def new_id(self):
            return f"call_{[*self.calls.values()][-1]['name']}"


class Lenient(Answer):
    def arguments(self, call):
        args = super().arguments(call)
        return args if args is not None or call["args"][-1:] not in "}]" else {}


@fault("T6", also="A2 T10 S2 C8")
class MalformedIsEmpty(Full):
    """Arguments that can't be read become `{}`, a valid call."""

    reads = Lenient


@fault("T6", also="T7")
class MalformedRaises(Results):
    """Arguments that can't be read raise in `invoke`."""

    def changed(self, message, kwargs):
        if message.invalid_tool_calls:
            raise json.JSONDecodeError("Expecting value", "", 0)
        return message


@fault("T6", also="T7")
class MalformedIsDropped(Results):
    """Calls that can't be read vanish."""

    def changed(self, message, kwargs):
        message.invalid_tool_calls = []
        return message


@fault("T7", verdict="WARN")
class CoreCompletesCalls(Full):
    """Cut arguments are left to core, which completes them: a valid call with half of them."""

    class reads(Answer):  # noqa: N801
        def broken(self):
            return []


class Partial(Answer):
    def arguments(self, call):
        try:
            args = parse_partial_json(call["args"] or "{}")
        except ValueError:
            return None
        return args if isinstance(args, dict) else None


@fault("T7")
class CompletesCalls(Full):
    """`invoke`, too, completes cut arguments."""

    reads = Partial


@fault("T8")
class EmptyArgumentsInvalid(Full):
    """A call without arguments is invalid: `json.loads("")`."""

    class reads(Answer):  # noqa: N801
        def arguments(self, call):
            return super().arguments(call) if call["args"] else None


@fault("T8", also="T2 T5 T10 T11")
class EmptyCallsDropped(Results):
    """A call without arguments is dropped: `if not args: continue`."""

    def changed(self, message, kwargs):
        message.tool_calls = [each for each in message.tool_calls if each["args"]]
        return message


@fault("T9", verdict="WARN")
class EscapesStreams(Full):
    """Arguments are escaped in streams."""

    class reads(Answer):  # noqa: N801
        def call_chunk(self, index, **fields):
            args = fields["args"] or ""
            escaped = json.dumps(args)[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            return super().call_chunk(index, **{**fields, "args": escaped})


@fault("T9", verdict="WARN")
class EscapesHistory(Full):
    """Calls of the history are sent with escaped arguments: `json.dumps` without a thought."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        for message in made["messages"]:
            for call in message.get("tool_calls", ()):
                args = json.loads(call["function"]["arguments"])
                call["function"]["arguments"] = json.dumps(args)
        return made


class Indexed(Answer):
    index = staticmethod(lambda index: index)

    def call_chunk(self, index, **fields):
        return chunk(tool_call_chunks=[tool_call_chunk(index=self.index(index), **fields)])


@fault("T10", also="S2 A2 T5 T11 C8")
class AllIndexesZero(Full):
    """All parallel calls have the index 100, and merge into one."""

    class reads(Indexed):  # noqa: N801
        index = staticmethod(lambda index: 100)


# pydantic refuses them where chunks are added up: no call ever arrives.
@fault("T10", also="*")
class IndexesAreTexts(Full):
    """Indexes are strings."""

    class reads(Indexed):  # noqa: N801
        index = staticmethod(lambda index: f"call_{index}")

        def call_chunk(self, index, **fields):
            made = super(Indexed, self).call_chunk(index, **fields)
            made.message.tool_call_chunks[0]["index"] = self.index(index)
            return made


@fault("T10", also="T5 T6 T7 T9 T11 S2 C8 A2 O1 O2 O5")
class NoIndexes(Full):
    """Pieces of calls have no index, and so each is a call of its own."""

    class reads(Indexed):  # noqa: N801
        index = staticmethod(lambda index: None)


@fault("T11", also="S2 M5")
class TextOrCalls(Results):
    """Where there are calls, the text before them is dropped."""

    def changed(self, message, kwargs):
        if message.tool_calls:
            message.content = ""
        return message


@fault("T11", also="T10 M2", verdict="WARN")
class CallsFromZero(Full):
    """Calls are numbered from 0, where core has put the text: under v1 the first one vanishes."""

    class reads(Indexed):  # noqa: N801
        pass


@fault("T12", also="T9 T13")  # their histories have one
class ErrorsRefused(Full):
    """A result with `status="error"` is refused."""

    def payload(self, messages, stop, kwargs):
        if any(isinstance(each, ToolMessage) and each.status == "error" for each in messages):
            raise ValueError("tool results must be successes")
        return super().payload(messages, stop, kwargs)


@fault("T12")
class ArtifactsSent(Full):
    """`artifact`, which is for the program, is sent to the LLM."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        for message, sent in zip(messages, made["messages"], strict=False):
            if isinstance(message, ToolMessage) and message.artifact:
                sent["artifact"] = repr(message.artifact)
        return made


@fault("T13", verdict="WARN")
class ToolUseRefused(Full):
    """Blocks of `tool_use` in the history are refused."""

    def payload(self, messages, stop, kwargs):
        for message in messages:
            for block in message.content if isinstance(message.content, list) else ():
                if isinstance(block, dict) and block.get("type") in {"tool_use", "tool_result"}:
                    raise ValueError(f"unknown block: {block}")
        return super().payload(messages, stop, kwargs)


@fault("T13", also="M5")
class ToolUseSent(Full):
    """Blocks of `tool_use` are sent as they are, which OpenAI's wire does not know."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        for message, sent in zip(messages, made["messages"], strict=False):
            if message.type == "ai" and isinstance(message.content, list):
                sent["content"] = message.content
        return made


@fault("T14")
class StrictIsLost(Full):
    """`strict` is taken, and not sent."""

    def tool(self, tool, strict):
        return super().tool(tool, None)


@fault("T14")
class ParallelIsLost(Full):
    """`parallel_tool_calls` is taken, and not sent."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        made.pop("parallel_tool_calls", None)
        return made
