"""The items of a request at the server's end of Responses, as LangChain's messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright.wires.prompt import answer, blocks, refuse
from chatwright.wires.responses.compact import opened
from chatwright.wires.responses.names import PHASE

__all__ = ["History"]


@dataclass
class _Answer:
    """An earlier answer as far as its items have come: reasoning, text, calls."""

    thoughts: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    phase: str | None = None

    def message(self) -> BaseMessage:
        made = answer("".join(self.said), self.calls, "".join(self.thoughts))
        if self.phase:
            made.response_metadata[PHASE] = self.phase
        return made


class History:
    """Reads items in their order.

    What a model said in one go is one message, as chat models have it: its reasoning, its text and
    its calls, whose results have to follow it.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.ignored: list[str] = []
        self._messages: list[BaseMessage] = []
        self._answer: _Answer | None = None
        self._called: set[str] = set()

    def messages(self) -> list[BaseMessage]:
        """Return the messages of what was read."""
        self._end_answer()
        return self._messages

    def add(self, item: Mapping[str, Any], place: str) -> None:
        """Read the next item.

        Args:
            item: The item.
            place: Where it stands, for errors.

        Raises:
            InvalidRequestError: It can't be read.
        """
        kind = item.get("type") or ("message" if "role" in item else None)
        match kind:
            case "message":
                self._message(item, place)
            case "function_call" | "custom_tool_call":
                self._call(item, place)
            case "function_call_output" | "custom_tool_call_output":
                self._result(item, place)
            case "reasoning":
                self._reasoning(item)
            case "compaction" | "compaction_summary":
                self._say(HumanMessage(opened(item.get("encrypted_content"), place)))
            case "item_reference":
                raise refuse(
                    place, "item_reference: items are not kept by their ids; send the item"
                )
            case str() if kind.endswith(_OF_TOOLS) or kind.startswith("mcp_"):
                self.ignored.append(f"{place} ({kind})")
            case _:
                raise refuse(f"{place}.type", f"{kind!r} is no kind of item known here")

    def _say(self, message: BaseMessage) -> None:
        self._end_answer()
        self._messages.append(message)

    def _end_answer(self) -> None:
        if self._answer is not None:
            self._messages.append(self._answer.message())
            self._answer = None

    def _open(self, *, after_text: bool) -> _Answer:
        """Return the answer that goes on; what follows text and no call may begin another one."""
        going = self._answer
        if going and going.said and not going.calls and not after_text:
            self._end_answer()
        if self._answer is None:
            self._answer = _Answer()
        return self._answer

    def _message(self, item: Mapping[str, Any], place: str) -> None:
        content = item.get("content")
        if not (isinstance(content, str) or _is_parts(content)):
            raise refuse(f"{place}.content", "it has to be a text or a list of objects")
        read: Any = blocks(content, f"{place}.content")
        match item.get("role"):
            case "user":
                self._say(HumanMessage(read))
            case "system":
                self._say(SystemMessage(read))
            case "developer":
                marked = {"__openai_role__": "developer"}
                self._say(SystemMessage(read, additional_kwargs=marked))
            case "assistant":
                if not isinstance(read, str):
                    raise refuse(f"{place}.content", "an earlier answer is text")
                going = self._open(after_text=False)
                going.said.append(read)
                if (phase := item.get(PHASE)) not in _PHASES:
                    raise refuse(f"{place}.phase", "it is commentary or final_answer")
                going.phase = phase or going.phase
            case role:
                raise refuse(f"{place}.role", f"{role!r} is none of {', '.join(_ROLES)}")

    def _reasoning(self, item: Mapping[str, Any]) -> None:
        """Take reasoning by its summary, or by its own words where there is none.

        What another server encrypted can't be read here, and its words are all there is to it.
        """
        parts = item.get("summary") or item.get("content") or ()
        words = [each["text"] for each in parts if isinstance(each, dict) and each.get("text")]
        if words:
            self._open(after_text=False).thoughts.extend(map(str, words))

    def _call(self, item: Mapping[str, Any], place: str) -> None:
        call_id, name = item.get("call_id"), item.get("name")
        if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
            raise refuse(place, "a call has to have a call_id and a name")
        custom = item.get("type") == "custom_tool_call"
        args = {"input": item.get("input")} if custom else item.get("arguments") or ""
        self._called.add(call_id)
        self._open(after_text=True).calls.append((call_id, name, args))

    def _result(self, item: Mapping[str, Any], place: str) -> None:
        call_id, output = item.get("call_id"), item.get("output")
        if call_id not in self._called:
            raise refuse(f"{place}.call_id", f"there is no call {call_id!r} before this result")
        if not (isinstance(output, str) or _is_parts(output)):
            raise refuse(f"{place}.output", "it has to be a text or a list of objects")
        read: Any = blocks(output, f"{place}.output")
        self._say(ToolMessage(read, tool_call_id=call_id))


def _is_parts(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(each, dict) for each in content)


_ROLES = ("user", "assistant", "system", "developer")
_PHASES = (None, "commentary", "final_answer")
_OF_TOOLS = ("_call", "_call_output")
"""What the kinds of items end in that are the records of tools which OpenAI's servers run."""
