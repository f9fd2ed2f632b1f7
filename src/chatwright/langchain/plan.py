"""How one call is carried out: what the source does itself, and what is done for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, HumanMessage

from chatwright.core.answer import Answer
from chatwright.core.attempts import Apart, CallFirst
from chatwright.core.calls import Unreadable
from chatwright.core.harmony import HarmonyFilter
from chatwright.core.jsontext import read_object
from chatwright.core.piece import Filter
from chatwright.core.protocols import HERMES, WRAPPED, ToolProtocol
from chatwright.core.purejson import JsonCheck, JsonFilter
from chatwright.core.stop import StopFilter
from chatwright.core.tags import ReasoningTags, TagFilter
from chatwright.core.toolcalls import ToolCallFilter
from chatwright.errors import MissingCallError, ParameterError
from chatwright.langchain.capabilities import AS_THEY_ARE, Capabilities, RolePolicy
from chatwright.langchain.prompted import (
    json_instructions,
    with_calls_as_text,
    with_instructions,
    with_roles,
)
from chatwright.langchain.request import Request, schema_of
from chatwright.langchain.schemas import hoisted
from chatwright.langchain.tools import as_choice, chosen_name, is_forced, tool_name
from chatwright.langchain.turns import paired
from chatwright.langchain.validation import SchemaCheck

__all__ = ["Plan", "plan"]

Tool: TypeAlias = Mapping[str, Any]


class Plan(NamedTuple):
    """How one call is carried out.

    Args:
        request: What the source is given.
        tags: The reasoning's tags, if any are looked for.
        include_stop: Whether a stop sequence ends the text or is left out.
        retries: How often to ask again where a call had to come and did not, or can't be read;
            None, if the caller looks at that.
        must_call: What to say then; nothing, if none has to come.
        protocol: How calls stand in the text, if they are looked for there.
        begun: Whether the whole answer is a call's JSON.
        single: Whether one call is all that is wanted.
        tools: The schemas of the arguments of the tools that are taught, by the tools' names.
        wants_json: Whether the answer has to be JSON.
        pure_json: Which JSON object is meant; what stands around it is dropped.
    """

    request: Request
    tags: ReasoningTags | None = None
    include_stop: bool = True
    retries: int | None = None
    must_call: str = ""
    protocol: ToolProtocol | None = None
    begun: bool = False
    single: bool = False
    tools: Mapping[str, Mapping[str, Any]] = {}
    wants_json: bool = False
    pure_json: JsonCheck | None = None

    def filters(self, said: str = "") -> Sequence[Filter]:
        """Return fresh filters, in the order in which they apply, behind what has been `said`."""
        filters: list[Filter] = []
        if self.tags and not self.begun and not self._has_channels():
            filters.append(TagFilter(self.tags, self._verbatim()))
        if self.protocol:
            filters.append(self._call_filter(self.protocol))
        if self.pure_json:
            filters.append(JsonFilter(self.pure_json))
        if self.request.stop:
            filters.append(StopFilter(self.request.stop, include=self.include_stop))
        if self.must_call and self.retries is not None:
            filters.append(CallFirst())
        elif said.strip():
            filters.append(Apart())
        return filters

    def _has_channels(self) -> bool:
        return self.protocol is not None and self.protocol.channels

    def _call_filter(self, protocol: ToolProtocol) -> Filter:
        if protocol.channels:
            return HarmonyFilter(single=self.single)
        return ToolCallFilter(protocol, tools=self.tools, begun=self.begun, single=self.single)

    def _verbatim(self) -> tuple[str, str] | None:
        """Return what begins and ends text in which no tag is looked for: calls, or JSON."""
        protocol = self.protocol
        if self.wants_json or (protocol and (protocol.bare or protocol is WRAPPED)):
            return "{", ""
        if protocol is None or protocol.open.startswith("`"):  # no tag counts in code anyway
            return None
        return protocol.open, protocol.close

    def again(self, answer: Answer) -> Request | None:
        """Return what to ask again: where a call had to come and did not, or can't be read."""
        if self.retries is None or answer.attempts > self.retries or answer.stop_sequence:
            return None
        said, asked = [answer.said], f"You have not called a tool. {self.must_call}"
        if answer.called or not self.must_call:
            if not (unreadable := self.unreadable(answer)):
                return None
            said += [self._as_written(each) for each in unreadable]
            asked = _CUT if answer.cut else "\n".join([*map(_complaint, unreadable), _AGAIN])
        told = [AIMessage("\n".join(filter(None, said))), HumanMessage(asked)]
        return replace(self.request, messages=[*self.request.messages, *told])

    def unreadable(self, answer: Answer) -> Sequence[Unreadable]:
        """Return the calls that the LLM wrote and that can't be read, if it wrote no others."""
        written = self.protocol is not None and not answer.given
        return answer.unreadable if written and self.retries is not None else ()

    def _as_written(self, call: Unreadable) -> str:
        if not call.name or self.protocol is None:
            return call.args
        return self.protocol.write_calls([(call.name, call.args)])

    @staticmethod
    def thought(answer: Answer) -> str:
        """Return the reasoning, if it is one JSON object and nothing else was said; else nothing.

        vLLM's parsers take for reasoning what no tag ends (vllm-project/vllm#19222).
        """
        thought = "".join(answer.reasoning).strip()
        told = answer.called or answer.refused or answer.stop_sequence
        return thought if not told and read_object(thought)[0] is not None else ""

    def missing(self, answer: Answer, model: str) -> MissingCallError | None:
        """Return the error that says that a call had to come and did not."""
        if not self.must_call or answer.called or self.retries is None:
            return None
        error = MissingCallError(
            f"{model} was told: {self.must_call!r} It has not, asked {answer.attempts} times, and "
            f"wrote {answer.said!r}; raise tool_retries, or leave the choice to it: "
            "tool_choice='auto'"
        )
        error.partial_text = answer.said
        return error


_AGAIN = "Write the whole call again, and fix that."
_CUT = "Your call got too long and was cut. Write it again, and be brief."


def _complaint(call: Unreadable) -> str:
    of = f" of {call.name}" if call.name else ""
    return f"Your call{of} can't be read: {call.error}."


def plan(bare: Plan, can: Capabilities, protocol: ToolProtocol, roles: RolePolicy) -> Plan:
    """Plan one call.

    Args:
        bare: What is asked, its messages normalized, and what the model's fields say.
        can: What the source can do.
        protocol: How to speak of tools with a source that has no other way.
        roles: What roles have to look like.

    Raises:
        ParameterError: A tool choice that is none, or a tool that only its provider can run.
    """
    made, asked = bare, bare.request
    if protocol.reasoning and bare.tags == ReasoningTags():
        made = made._replace(tags=ReasoningTags(*protocol.reasoning))
    if asked.tool_choice is not None:
        choice = as_choice(asked.tool_choice, asked.tools or ())
        made = made._replace(request=replace(asked, tool_choice=choice))
    constrained = is_forced(made.request.tool_choice) and can.response_format
    if can.tools and (can.tool_choice or not constrained):
        made = _native(made, can)
    elif asked.tools or _has_calls(asked) or protocol.channels:
        made = _prompted(made, can, protocol)
    if made.request.tools and not can.tools_with_format:
        can = replace(can, response_format=False)
    if asked.response_format is not None and not made.begun:
        made = _with_format(made, asked.response_format, can)._replace(wants_json=True)
    if roles != AS_THEY_ARE:
        messages = with_roles(made.request.messages, roles)
        made = made._replace(request=replace(made.request, messages=messages))
    return made


def _has_calls(request: Request) -> bool:
    answers = [each for each in request.messages if isinstance(each, AIMessage)]
    return any(each.tool_calls or each.invalid_tool_calls for each in answers)


def _native(made: Plan, can: Capabilities) -> Plan:
    """Hand tools to a source that reads them; what it does not read of the choice is done here."""
    if can.opaque and (messages := paired(made.request.messages)) is not made.request.messages:
        made = made._replace(request=replace(made.request, messages=messages))
    request = made.request
    if can.tool_choice or request.tool_choice is None:
        return made
    told = replace(request, tools=_offered(request) or None, tool_choice=None)
    return made._replace(request=told, must_call=_must_call(request.tool_choice))


def _prompted(made: Plan, can: Capabilities, protocol: ToolProtocol) -> Plan:
    """Teach tools to a source that reads nothing but text."""
    request, offered = made.request, _offered(made.request)
    constrained = bool(offered) and can.response_format
    must_call = _must_call(request.tool_choice)
    if constrained and request.response_format is not None and not must_call:
        protocol = WRAPPED
    elif constrained and must_call and "{call}" not in protocol.call:
        protocol = HERMES  # a schema can describe JSON only
    messages = with_calls_as_text(request.messages, protocol)
    told = replace(request, messages=messages, tools=None, tool_choice=None)
    if not offered:
        return made._replace(request=told, protocol=protocol if protocol.channels else None)
    taught = f"{protocol.teach(_describable(offered))}\n{must_call}".rstrip()
    told = replace(told, messages=with_instructions(messages, taught))
    constrained = constrained and bool(must_call or request.response_format is not None)
    if constrained:
        calls = _call_schemas(offered, protocol)
        told = replace(told, response_format=_one_of(calls, None if must_call else request))
    return made._replace(
        request=told,
        protocol=protocol,
        tools={tool_name(each) or "": _arguments(each) for each in offered},
        begun=constrained and bool(must_call),
        single=constrained or request.parameters.get("parallel_tool_calls") is False,
        must_call=must_call,
    )


def _describable(tools: Sequence[Tool]) -> Sequence[Tool]:
    for tool in tools:
        if tool_name(tool) is None:
            raise ParameterError(
                f"there is no built-in tool {tool.get('type', tool)!r} here: this model's LLM "
                "knows only the tools that are described to it"
            )
    return tools


def _with_format(made: Plan, response_format: Any, can: Capabilities) -> Plan:
    """Ask for JSON in the prompt, where that is the only way or has to be said as well."""
    if can.response_format and not can.schema_in_prompt:
        return made
    messages = with_instructions(made.request.messages, json_instructions(response_format))
    request = replace(made.request, messages=messages)
    if can.response_format:
        return made._replace(request=request)
    check = SchemaCheck(schema_of(response_format))
    return made._replace(request=replace(request, response_format=None), pure_json=check)


def _offered(request: Request) -> list[Tool]:
    """Return the tools that a choice leaves."""
    name = chosen_name(request.tool_choice)
    if request.tool_choice == "none" or not request.tools:
        return []
    return [each for each in request.tools if name is None or tool_name(each) == name]


def _must_call(choice: Any) -> str:
    """Return the sentence that says that a call has to come, if it has to."""
    if not is_forced(choice):
        return ""
    tool = f"the tool {name}" if (name := chosen_name(choice)) else "a tool"
    return f"You must call {tool} now. Write the call and nothing else."


def _call_schemas(tools: Sequence[Tool], protocol: ToolProtocol) -> list[dict[str, Any]]:
    """Return the schemas of the calls of these tools."""
    return [
        _object(name={"const": tool_name(tool)}, **{protocol.arguments_key: _arguments(tool)})
        for tool in tools
    ]


def _arguments(tool: Tool) -> Mapping[str, Any]:
    """Return the schema of a tool's arguments."""
    schema: Mapping[str, Any] = tool["function"].get("parameters")
    return schema or {"type": "object", "properties": {}}


def _one_of(calls: Sequence[Mapping[str, Any]], otherwise: Request | None) -> dict[str, Any]:
    """Return the `response_format` that one of the calls conforms to, or what is asked for."""
    definitions: dict[str, Any] = {}
    schemas = [
        {**each, "properties": _hoisted(each["properties"], f"{n}_", definitions)}
        for n, each in enumerate(calls)
    ]
    if otherwise is not None:
        schemas = [_object(tool_call=call) for call in schemas]
        wanted = schema_of(otherwise.response_format) or {"type": "object"}
        schemas.append(hoisted(wanted, f"{len(calls)}_", definitions))
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if definitions:
        schema = {**schema, "$defs": definitions}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _hoisted(
    properties: Mapping[str, Any], prefix: str, definitions: dict[str, Any]
) -> dict[str, Any]:
    return {name: hoisted(each, prefix, definitions) for name, each in properties.items()}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
