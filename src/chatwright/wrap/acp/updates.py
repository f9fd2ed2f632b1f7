"""An agent's updates of its session, as deltas. No I/O.

They are read as JSON and not by the library's classes, which refuse a whole update for one word
that is newer than they are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.deltas import Block, Delta, Reasoning
from chatwright.errors import OutputError

__all__ = ["Updates", "names_of"]

_MARKS: Mapping[Any, str] = {"completed": "x", "in_progress": "~"}


class Updates:
    """Reads `session/update` (https://agentclientprotocol.com/protocol/prompt-turn).

    Messages are the answer's text; where a step or a new message comes between, an empty line
    parts them. Thoughts, the steps of tools and plans are reasoning.

    `usage` is the last `usage_update`: the context, and the session's cost where it is told.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.usage: Mapping[str, Any] = {}
        self._steps: dict[str, dict[str, Any]] = {}
        self.begin()

    def begin(self) -> None:
        """Begin another answer, of which nothing has come."""
        self._text = ""  # the last of the answer's text
        self._thought = ""  # the last of the reasoning
        self._message: Any = None
        self._apart = False
        self.is_silent = True

    def read(self, update: Mapping[str, Any]) -> list[Delta]:
        """Return what an update says; one of a kind that is not known says nothing.

        Args:
            update: The update, as it came.

        Raises:
            OutputError: It is not of the protocol.
        """
        try:
            said = [*self._read(update)]
        except (AttributeError, KeyError, TypeError) as error:
            raise OutputError(f"an update of the session can't be read: {error!r}") from None
        self.is_silent = self.is_silent and not said
        return said

    def told(self, line: str) -> Reasoning:
        """Return a line as reasoning: it begins as a line where a thought stands before it."""
        begun = "\n" if self._thought and not self._thought.endswith("\n") else ""
        self._thought = "\n"
        return Reasoning(f"{begun}{line}\n")

    def step(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is known of a tool's step, with what is told of it now."""
        known = self._steps.setdefault(str(call["toolCallId"]), {})
        known |= {name: each for name, each in call.items() if each is not None}
        return known

    def _read(self, update: Mapping[str, Any]) -> Iterator[Delta]:
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                yield from self._said(update)
            case "agent_thought_chunk":
                text = update["content"].get("text") or ""
                if text:
                    self._thought = text
                    yield Reasoning(text)
            case "tool_call" | "tool_call_update":
                before = _line(self._steps.get(update["toolCallId"], {}))
                line = _line(self.step(update))
                self._apart = True
                if line != before:
                    yield self.told(line)
            case "plan":
                self._apart = True
                lines = [
                    f"- [{_MARKS.get(e.get('status'), ' ')}] {e['content']}" for e in _of(update)
                ]
                yield self.told("\n".join(["Plan:", *lines]))
            case "usage_update":
                self.usage = update

    def _said(self, update: Mapping[str, Any]) -> Iterator[Delta]:
        content, message = update["content"], update.get("messageId")
        if content["type"] != "text":
            yield Block(_block(content))
            return
        if not (text := content["text"]):
            return
        another = message is not None and self._message not in {None, message}
        if (self._apart or another) and self._text and not self._text[-1].isspace():
            yield "\n\n"
        self._apart, self._message, self._text = False, message, text
        yield text


def _of(plan: Mapping[str, Any]) -> Any:
    return plan["entries"]


def _line(step: Mapping[str, Any]) -> str:
    """Return a tool's step in a line: its title, its kind and its state."""
    if not step:
        return ""
    kind = f" ({step['kind']})" if step.get("kind") else ""
    return f"{step.get('title') or step['toolCallId']}{kind}: {step.get('status') or 'pending'}"


def names_of(step: Mapping[str, Any]) -> list[str]:
    """Return what a tool is called: its title, its kind, and the name that some agents tell."""
    told = (step.get("_meta") or {}).values()  # Claude Code's `claudeCode.toolName`
    tools = [each.get("toolName") for each in told if isinstance(each, Mapping)]
    names = [step.get("title"), step.get("kind"), *tools]
    return [each for each in names if isinstance(each, str)]


def _block(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return content beside text as LangChain's v1 has it."""
    kind = content["type"]
    if kind in {"audio", "image"}:
        return {"type": kind, "base64": content["data"], "mime_type": content["mimeType"]}
    if kind == "resource_link":
        return {"type": "file", "url": content["uri"], "extras": {"filename": content["name"]}}
    if kind == "resource":
        held = content["resource"]
        mime = held.get("mimeType")
        if "text" in held:
            return {"type": "text-plain", "text": held["text"], "mime_type": mime or "text/plain"}
        return {"type": "file", "base64": held["blob"], "mime_type": mime}
    return {"type": "non_standard", "value": dict(content)}
