"""How one call is carried out: what the source does itself, and what is done for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.utils.json_schema import dereference_refs

from chatwright.core.answer import Answer
from chatwright.core.piece import Filter
from chatwright.core.protocols import WRAPPED, ToolProtocol
from chatwright.core.purejson import JsonFilter
from chatwright.core.stop import StopFilter
from chatwright.core.tags import ReasoningTags, TagFilter
from chatwright.core.toolcalls import ToolCallFilter
from chatwright.errors import ParameterError
from chatwright.langchain.capabilities import Capabilities, RolePolicy
from chatwright.langchain.prompted import (
    json_instructions,
    with_calls_as_text,
    with_instructions,
    with_roles,
)
from chatwright.langchain.request import Request
from chatwright.langchain.tools import as_choice, chosen_name, is_forced, tool_name

__all__ = ["Plan", "plan"]

Tool: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one call is carried out.

    Args:
        request: What the source is given.
        tags: The reasoning's tags, if any are looked for.
        protocol: How calls stand in the text, if they are looked for there.
        begun: Whether the whole answer is a call's JSON.
        single: Whether one call is all that is wanted.
        pure_json: Whether what stands around the answer's JSON is dropped.
        include_stop: Whether a stop sequence ends the text or is left out.
        must_call: What to say if no call comes, or nothing.
        retries: How often to say so.
    """

    request: Request
    tags: ReasoningTags | None = None
    protocol: ToolProtocol | None = None
    begun: bool = False
    single: bool = False
    pure_json: bool = False
    include_stop: bool = True
    must_call: str = ""
    retries: int = 0

    def filters(self) -> Sequence[Filter]:
        """Return fresh filters, in the order in which they apply."""
        filters: list[Filter] = []
        if self.tags:
            filters.append(TagFilter(self.tags))
        if self.protocol:
            filters.append(ToolCallFilter(self.protocol, begun=self.begun, single=self.single))
        if self.pure_json:
            filters.append(JsonFilter())
        if self.request.stop:
            filters.append(StopFilter(self.request.stop, include=self.include_stop))
        return filters

    def again(self, answer: Answer) -> Request | None:
        """Return what to ask again, where a call had to come and did not."""
        missing = self.must_call and not (answer.called or answer.stop_sequence)
        if not missing or answer.attempts > self.retries:
            return None
        said = AIMessage("".join(answer.text))
        asked = HumanMessage(f"You have not called a tool. {self.must_call}")
        return replace(self.request, messages=[*self.request.messages, said, asked])


def plan(
    request: Request,
    can: Capabilities,
    *,
    model: str,
    protocol: ToolProtocol,
    roles: RolePolicy,
    **settings: Any,
) -> Plan:
    """Plan one call.

    Args:
        request: What is asked; its messages are normalized.
        can: What the source can do.
        model: The model's name, for errors.
        protocol: How to speak of tools with a source that has no other way.
        roles: What roles have to look like.
        **settings: `tags`, `include_stop` and `retries` of the plan.

    Raises:
        ParameterError: A tool choice that is none, or a tool that only its provider can run.
    """
    tools = request.tools or None
    choice = as_choice(request.tool_choice, tools or ()) if request.tool_choice else None
    request = replace(request, tools=tools, tool_choice=choice)
    constrained = is_forced(choice) and can.response_format and not can.tool_choice
    if can.tools and not constrained:
        made = _native(request, can, settings)
    else:
        made = _prompted(request, can, protocol, model, settings)
    if request.response_format is not None and not made.begun:
        made = _with_format(made, request.response_format, can)
    messages = with_roles(made.request.messages, roles)
    return replace(made, request=replace(made.request, messages=messages))


def _native(request: Request, can: Capabilities, settings: Mapping[str, Any]) -> Plan:
    if can.tool_choice or request.tool_choice is None:
        return Plan(request=request, **settings)
    offered = _offered(request)
    must_call = _must_call(request.tool_choice)
    request = replace(request, tools=offered or None, tool_choice=None)
    return Plan(request=request, must_call=must_call, **settings)


def _prompted(
    request: Request,
    can: Capabilities,
    protocol: ToolProtocol,
    model: str,
    settings: Mapping[str, Any],
) -> Plan:
    offered, choice = _offered(request), request.tool_choice
    if offered and request.response_format is not None and can.response_format:
        protocol = WRAPPED
    messages = list(request.messages)
    if offered or any(isinstance(each, AIMessage) and each.tool_calls for each in messages):
        messages = with_calls_as_text(messages, protocol)
    told = replace(request, messages=messages, tools=None, tool_choice=None)
    if not offered:
        return Plan(request=told, **settings)
    for tool in offered:
        if tool_name(tool) is None:
            raise ParameterError(
                f"{model} has no built-in tool {tool.get('type', tool)!r}: its LLM knows only the "
                "tools that are described to it"
            )
    must_call = _must_call(choice)
    taught = f"{protocol.teach(offered)}\n{must_call}".rstrip()
    told = replace(told, messages=with_instructions(messages, taught))
    constrained = can.response_format and (must_call or request.response_format is not None)
    if constrained:
        calls = _call_schemas(offered, protocol)
        told = replace(told, response_format=_one_of(calls, None if must_call else request))
    return Plan(
        request=told,
        protocol=protocol,
        begun=bool(constrained and must_call),
        single=bool(constrained) or request.parameters.get("parallel_tool_calls") is False,
        must_call="" if constrained else must_call,
        **settings,
    )


def _with_format(made: Plan, response_format: Any, can: Capabilities) -> Plan:
    """Ask for JSON in the prompt, where that is the only way or has to be said as well."""
    if can.response_format and not can.schema_in_prompt:
        return made
    messages = with_instructions(made.request.messages, json_instructions(response_format))
    request = replace(made.request, messages=messages)
    if can.response_format:
        return replace(made, request=request)
    return replace(made, request=replace(request, response_format=None), pure_json=True)


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
    calls = []
    for tool in tools:
        parameters = tool["function"].get("parameters") or {"type": "object", "properties": {}}
        parameters = _inlined(parameters)
        calls.append(
            _object(name={"const": tool_name(tool)}, **{protocol.arguments_key: parameters})
        )
    return calls


def _one_of(calls: Sequence[Mapping[str, Any]], otherwise: Request | None) -> dict[str, Any]:
    """Return the `response_format` that one of the calls conforms to, or what is asked for."""
    schemas = [*calls]
    if otherwise is not None:
        schema = (otherwise.response_format.get("json_schema") or {}).get("schema")
        schemas = [_object(tool_call=call) for call in calls]
        schemas.append(_inlined(schema or {"type": "object"}))
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references, which would lead astray inside of another one."""
    return dereference_refs(schema) if "$ref" in json.dumps(schema) else schema


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
