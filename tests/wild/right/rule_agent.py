"""A rule-based stand-in for an LLM, with tools, for demos and tests without a network.

Modelled on: the "mock"/"demo" chat models of agent repositories, which look at the conversation and either
call a tool or answer.

What is right: it decides from the messages alone (there is no counter on the instance, so it may be used by
many at once, cached and copied); a tool is called with arguments made from its schema; a forced tool_choice
is kept, "none" too; after the tool's result it answers with it; whole and streamed answers say the same; it
counts no tokens, having none. Its parameters per call are `tools`, `tool_choice` and `stop`; others are
refused.

MODEL: demo_model
KWARGS: {}
WIRE: none
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

SILENT = ("tool_use", "tool_call", "thinking", "redacted_thinking", "reasoning")


def _fill(schema: dict[str, Any], text: str, root: dict[str, Any]) -> Any:
    """A value that fits the schema, of the person's words where it can be."""
    if "$ref" in schema:
        node: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            node = node[step]
        return _fill(node, text, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return _fill(schema[union][0], text, root)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", [])
        properties = schema.get("properties", {})
        return {
            name: _fill(part, text, root) for name, part in properties.items() if name in wanted
        }
    if kind == "array":
        return [
            _fill(schema.get("items", {}), text, root) for _ in range(schema.get("minItems", 1))
        ]
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), 1)
    return {"boolean": True, "null": None}.get(kind, text)


class RuleAgent(BaseChatModel):
    """Calls the first tool that the person's words name, or answers."""

    model_name: str = "rule-agent"
    persona: str = "demo"

    @property
    def _llm_type(self) -> str:
        return "rule-agent"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "persona": self.persona}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable | BaseTool],
        *,
        tool_choice: dict | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice not in (None, False):
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @staticmethod
    def _chosen(
        text: str, tools: list[dict[str, Any]], choice: Any, answered: bool
    ) -> dict[str, Any] | None:
        functions = {tool["function"]["name"]: tool["function"] for tool in tools}
        if not functions or choice == "none":
            return None
        if isinstance(choice, dict):
            choice = (choice.get("function") or choice).get("name")
        if isinstance(choice, str) and choice not in ("auto", "any", "required"):
            if choice not in functions:
                raise ValueError(f"tool_choice {choice!r} is none of the tools {sorted(functions)}")
            return functions[choice]
        named = [
            name
            for name in functions
            if any(part in text.lower() for part in name.lower().split("_"))
        ]
        if choice in ("any", "required", True):
            return functions[named[0] if named else next(iter(functions))]
        return functions[named[0]] if named and not answered else None

    def _decide(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        *,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: Any = None,
        stream: bool | None = None,
        **unknown: Any,
    ) -> tuple[str, dict[str, Any] | None]:
        unknown = {name: value for name, value in unknown.items() if value is not None}
        if unknown:
            raise TypeError(f"A rule agent takes no {', '.join(sorted(unknown))}")
        for message in messages:
            for block in [] if isinstance(message.content, str) else message.content:
                kind = "text" if isinstance(block, str) else block.get("type")
                if kind != "text" and not (message.type == "ai" and kind in SILENT):
                    raise ValueError(f"A rule agent reads text only, not {kind!r}")
        asked = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        answered = bool(messages) and isinstance(messages[-1], ToolMessage)
        function = self._chosen(str(asked), tools or [], tool_choice, answered)
        if function is not None:
            parameters = function.get("parameters") or {"type": "object"}
            arguments = _fill(parameters, str(asked), parameters)
            # the same conversation makes the same call, and another place in it another id
            seed = json.dumps([function["name"], arguments, len(messages)], sort_keys=True)
            mark = "call_" + hashlib.sha256(seed.encode()).hexdigest()[:16]
            return "", {
                "name": function["name"],
                "args": arguments,
                "id": mark,
                "type": "tool_call",
            }
        if answered:
            text = f"The tool says: {messages[-1].text}"
        else:
            text = f"I am the {self.persona} agent. You said: {asked}"
        cuts = [at for at in (text.find(end) for end in stop or [] if end) if at >= 0]
        return (text[: min(cuts)] if cuts else text), None

    def _metadata(self, call: dict[str, Any] | None) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": "tool_calls" if call else "stop"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, call = self._decide(messages, stop, **kwargs)
        message = AIMessage(
            content=text, tool_calls=[call] if call else [], response_metadata=self._metadata(call)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text, call = self._decide(messages, stop, **kwargs)
        if call is not None:
            arguments = json.dumps(call["args"])
            half = len(arguments) // 2
            for at, part in enumerate((arguments[:half], arguments[half:])):
                piece = {
                    "name": None if at else call["name"],
                    "args": part,
                    "id": None if at else call["id"],
                    "index": 0,
                    "type": "tool_call_chunk",
                }
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="", tool_call_chunks=[piece])
                )
        for word in re.findall(r"\S*\s*", text):
            if not word:
                continue
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(
            message=AIMessageChunk(content=""), generation_info=self._metadata(call)
        )


demo_model = RuleAgent()
