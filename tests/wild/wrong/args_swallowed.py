"""Modelled on: repositories that teach a local text model tools by a prompt ("answer with ```tool {json}```") and
parse what comes with regular expressions; `local_llm` stands for the model in the process.

Wrong: what cannot be parsed becomes something else, quietly. What the user feels: a call whose arguments are broken
JSON runs the tool with no arguments at all; in a conversation with several calls the results are mixed up,
because every call of every turn has the id "call_0"; of several calls in one answer only the first exists.

FAULT: arguments that are no JSON become {} (a valid call without arguments) and not an invalid tool call.
FAULT: all tool calls have the same id.
FAULT: of several calls in an answer only the first is returned, the others are dropped with the rest of the text.

MODEL: LocalToolsChat
KWARGS: {}
WIRE: none
"""

import json
import re
from typing import Any, Dict, List, Optional

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

FENCE = re.compile(r"```tool\s*(.*?)```", re.DOTALL)


def local_llm(prompt: str) -> str:
    """Stands for the weights: it calls a tool whose name it reads in the question, or that it has to call."""
    question = prompt.rsplit("### Human:", 1)[-1].split("###")[0].strip()
    if (
        prompt.rstrip().endswith("### Assistant:")
        and "### Tool:" in prompt.rsplit("### Human:", 1)[-1]
    ):
        return (
            "According to the tool: "
            + prompt.rsplit("### Tool:", 1)[-1].split("### Assistant:")[0].strip()
        )
    tools = [json.loads(line[2:]) for line in prompt.splitlines() if line.startswith("- {")]
    forced = "You have to use a tool" in prompt
    wanted = [t for t in tools if t["name"] in question] or (tools if forced else [])
    if not wanted:
        return f"I heard: {question}"
    calls = []
    for tool in wanted:
        arguments = {}
        for name, schema in tool["parameters"].get("properties", {}).items():
            kind = schema.get("type", "string")
            words = question.split() or ["it"]
            values = {
                "integer": 1,
                "number": 1.0,
                "boolean": True,
                "array": [],
                "object": {},
                "string": words[-1],
            }
            arguments[name] = (
                schema["enum"][0] if "enum" in schema else values.get(str(kind), words[-1])
            )
        text = json.dumps(arguments)
        # As small models do, it writes line breaks into strings, and forgets to escape quotes.
        text = text.replace("\\n", "\n").replace('\\"', '"')
        calls.append(f'```tool\n{{"name": "{tool["name"]}", "arguments": {text}}}\n```')
    return "\n".join(calls)


class LocalToolsChat(BaseChatModel):
    model_path: str = "models/local-3b.gguf"
    max_tokens: int = 512

    @property
    def _llm_type(self) -> str:
        return "local-tools"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {"model_path": self.model_path, "max_tokens": self.max_tokens}

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(
            tools=[convert_to_openai_tool(t) for t in tools], tool_choice=tool_choice, **kwargs
        )

    def _prompt(self, messages: List[BaseMessage], tools: List[dict], tool_choice: Any) -> str:
        parts = []
        if tools and tool_choice != "none":
            lines = [
                json.dumps({k: t["function"].get(k) for k in ("name", "description", "parameters")})
                for t in tools
            ]
            if tool_choice in ("any", "required", True):
                lines.append("You have to use a tool.")
            elif tool_choice not in (None, "auto"):
                lines = [x for x, t in zip(lines, tools) if t["function"]["name"] == tool_choice]
                lines.append("You have to use a tool.")
            parts.append(
                "### System: Use a tool by answering ```tool {json}```. The tools:\n"
                + "\n".join(line if line.startswith("You") else f"- {line}" for line in lines)
            )
        for m in messages:
            if isinstance(m.content, list) and any(
                isinstance(b, dict) and b.get("type") != "text" for b in m.content
            ):
                raise ValueError("LocalToolsChat reads text only")
            if isinstance(m, SystemMessage):
                parts.append(f"### System: {m.text}")
            elif isinstance(m, HumanMessage):
                parts.append(f"### Human: {m.text}")
            elif isinstance(m, AIMessage):
                calls = "".join(
                    "```tool\n" + json.dumps({"name": c["name"], "arguments": c["args"]}) + "\n```"
                    for c in m.tool_calls
                )
                parts.append(f"### Assistant: {m.text}{calls}")
            elif isinstance(m, ToolMessage):
                parts.append(f"### Tool: {m.text}")
            else:
                raise ValueError(f"LocalToolsChat cannot read a {type(m).__name__}")
        return "\n".join(parts) + "\n### Assistant:"

    @staticmethod
    def _parse(text: str) -> AIMessage:
        found = FENCE.search(text)
        if not found:
            return AIMessage(content=text)
        try:
            call = json.loads(found.group(1))
            name, args = call["name"], call.get("arguments", {})
        except Exception:
            name_match = re.search(r'"name"\s*:\s*"([^"]+)"', found.group(1))
            name, args = (name_match.group(1) if name_match else "unknown"), {}
        if not isinstance(args, dict):
            args = {}
        return AIMessage(
            content="",
            tool_calls=[{"name": name, "args": args, "id": "call_0", "type": "tool_call"}],
        )

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = self._prompt(messages, kwargs.get("tools") or [], kwargs.get("tool_choice"))
        text = local_llm(prompt)
        for mark in stop or []:
            text = text.split(mark)[0]
        words = text.split(" ")
        message = self._parse(" ".join(words[: kwargs.get("max_tokens", self.max_tokens)]))
        read, written = len(prompt.split()), len(words)
        message.usage_metadata = {
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
        }
        message.response_metadata = {"model_name": self.model_path}
        return ChatResult(generations=[ChatGeneration(message=message)])
