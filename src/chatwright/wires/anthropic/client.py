"""The client's end of Anthropic's Messages: requests out, answers in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatwright.core.calls import CALL_EXTRAS
from chatwright.core.jsontext import read_object
from chatwright.deltas import Delta, Finish, Reasoning, Refusal
from chatwright.errors import ContentError
from chatwright.langchain.media import mime_type
from chatwright.langchain.openai import unread
from chatwright.langchain.tools import chosen_name, tool_name
from chatwright.wires.anthropic.names import PATH, USAGE
from chatwright.wires.blocks import Citations, called, other, result
from chatwright.wires.calls import Calls, given
from chatwright.wires.keep import SERVED_BY, Place, arranged, kept, server, wire_id
from chatwright.wires.reader import TotalsReader
from chatwright.wires.wire import Ask, Written

__all__ = ["ACCEPTS", "Reader", "write"]

ACCEPTS = frozenset({"metadata", "service_tier", "thinking", "top_k"})
"""Call parameters beside the model's fields."""

MAX_TOKENS = 4096
"""The longest answer where nothing else is said: the wire wants a number."""

THOUGHTS = "thinking_blocks"
"""Where a message keeps what has to go back: signed thoughts, what its own tools did."""

_PARAMETERS = (
    "max_tokens",
    "metadata",
    "service_tier",
    "temperature",
    "thinking",
    "top_k",
    "top_p",
)


def write(ask: Ask) -> Written:
    """Write a request."""
    request = ask.request
    system = [each for each in request.messages if each.type == "system"]
    others = [each for each in request.messages if each.type != "system"]
    limit = ask.quirks.max_tokens or "max_tokens"
    body: dict[str, Any] = {
        **ask.named(),
        limit: MAX_TOKENS,
        "messages": _turns(others, ask),
        "stream": bool(ask.quirks.stream),
        **ask.parameters(*_PARAMETERS),
    }
    budget = (body.get("thinking") or {}).get("budget_tokens") or 0
    if budget >= body[limit]:  # it counts as part of the answer, and has to be less
        body[limit] += budget
    if system:
        body["system"] = _system(system)
    if stops := ask.stops():
        body["stop_sequences"] = stops
    if request.tools:
        body["tools"] = [_tool(each) for each in request.tools]
        parallel = request.parameters.get("parallel_tool_calls")
        if (choice := _choice(request.tool_choice, parallel=parallel)) is not None:
            body["tool_choice"] = choice
    return Written(f"{ask.base_url}{PATH}", body, {})


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool_name(tool) is None:
        return tool  # one of Anthropic's own
    function = tool["function"]
    made = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    if description := function.get("description"):
        made["description"] = description
    if "strict" in function:
        made["strict"] = function["strict"]
    return {**made, **_marks(tool)}


def _choice(choice: Any, *, parallel: bool | None) -> dict[str, Any] | None:
    if choice is None and parallel is None:
        return None
    if name := chosen_name(choice):
        made: dict[str, Any] = {"type": "tool", "name": name}
    else:
        made = {"type": {"required": "any", None: "auto"}.get(choice, choice)}
    if parallel is not None and made["type"] != "none":
        made["disable_parallel_tool_use"] = not parallel
    return made


def _system(messages: Sequence[BaseMessage]) -> str | list[dict[str, Any]]:
    if all(isinstance(each.content, str) for each in messages):
        return "\n\n".join(each.text for each in messages)
    return [block for each in messages for block in _blocks(_content(each.content))]


def _turns(messages: Sequence[BaseMessage], ask: Ask) -> list[dict[str, Any]]:
    """Return the messages: none is empty, and the results of one turn's calls stand in one."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if isinstance(message, AIMessage) else "user"
        content = _turn(message, ask)
        if role == "assistant" and not content:
            continue  # the wire refuses it
        if turns and turns[-1]["role"] == role == "user":
            turns[-1]["content"] = [*_blocks(turns[-1]["content"]), *_blocks(content)]
        else:
            turns.append({"role": role, "content": content})
    if turns and turns[-1]["role"] == "assistant":
        _end_without_blanks(turns[-1]["content"])
    return turns


def _turn(message: BaseMessage, ask: Ask) -> str | list[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        return [_result(message)]
    return [*_answer(message, ask)] if isinstance(message, AIMessage) else _content(message.content)


def _result(message: ToolMessage) -> dict[str, Any]:
    """Write a tool's result; a mark within it stands on it as a whole, where the wire has it."""
    content = _content(message.content)
    marks: dict[str, Any] = {}
    if not isinstance(content, str):
        for each in content:
            marks |= _marks(each)
        content = [{k: v for k, v in each.items() if k not in marks} for each in content]
    result = {
        "type": "tool_result",
        "tool_use_id": wire_id(message.tool_call_id),
        "content": content,
        **marks,
    }
    return {**result, "is_error": True} if message.status == "error" else result


def _answer(message: AIMessage, ask: Ask) -> Iterator[dict[str, Any]]:
    extras = message.additional_kwargs.get(CALL_EXTRAS) or {}
    told = [(each, each["args"]) for each in message.tool_calls]
    # Results refer to the others, too.
    told += [(each, unread(each["args"])) for each in message.invalid_tool_calls]  # type: ignore[misc]
    calls = [
        {
            "type": "tool_use",
            "id": wire_id(call["id"]),
            "name": call["name"],
            "input": args,
            **_marks(extras.get(call["id"]) or {}),
        }
        for call, args in told
    ]
    for each in arranged(message, ask, THOUGHTS, calls):
        if not isinstance(each, str):
            yield each
        elif each.strip():  # the wire refuses blanks
            yield {"type": "text", "text": each}


def _end_without_blanks(content: list[dict[str, Any]]) -> None:
    """Cut what the wire refuses at the end of a conversation: blanks of an answer to go on with."""
    last = content[-1]
    if last["type"] == "text":
        content[-1] = {**last, "text": last["text"].rstrip()}


def _content(content: Any) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_block(each) for each in content]


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _marks(of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mark of what the server keeps in its cache, and the user pays for."""
    return {"cache_control": of["cache_control"]} if of.get("cache_control") else {}


_DOCUMENTS = ("title", "context", "citations")
"""What documents have beside their source."""


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    """Write a block; `cache_control` is kept, and what belongs to a document."""
    kinds = {"image": "image", "file": "document", "text-plain": "document"}
    if block["type"] == "text":
        return {"type": "text", "text": block["text"], **_marks(block)}
    if block["type"] not in kinds:
        raise ContentError(f"Anthropic's wire has no form for {block['type']!r} content")
    made = {"type": kinds[block["type"]], "source": _source(block), **_marks(block)}
    if made["type"] == "document":
        extras = {**(block.get("extras") or {})}
        named = block.get("filename") or extras.get("filename")
        extras.setdefault("title", named)
        made |= {name: extras[name] for name in _DOCUMENTS if extras.get(name)}
    return made


def _source(block: Mapping[str, Any]) -> dict[str, Any]:
    if block.get("file_id"):
        return {"type": "file", "file_id": block["file_id"]}
    if block.get("base64"):
        return {"type": "base64", "media_type": mime_type(block), "data": block["base64"]}
    if block.get("url"):
        return {"type": "url", "url": block["url"]}
    return {"type": "text", "media_type": "text/plain", "data": block["text"]}


class Reader(TotalsReader):
    """Reads events; each names its type."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        super().__init__()
        self._metadata[SERVED_BY] = server(ask.base_url)
        self._reports_stop = ask.quirks.stop == "reported"
        self._own: dict[int, dict[str, Any]] = {}  # thoughts, and what its own tools do
        self._places: dict[int, Place] = {}
        self._inputs: dict[int, str] = {}  # of its own tools' calls
        self._said = 0  # characters
        self._apart = 0  # those before the block of text
        self._cited: dict[int, tuple[int, list[Any]]] = {}
        self._citations = Citations()
        self._calls = Calls()

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        match payload.get("type"):
            case "content_block_delta":
                return [*self._delta(payload["delta"], payload.get("index", 0))]
            case "content_block_start":
                return [*self._block(payload["content_block"], payload.get("index", 0))]
            case "content_block_stop":
                return [*self._close(payload.get("index", 0))]
            case "message_start":
                return self._start(payload["message"])
            case "message_delta":
                return [*self._end(payload["delta"], payload.get("usage"))]
            case "message_stop":
                self.ended = True
            case "message":  # a whole answer
                blocks = enumerate(payload.get("content") or ())
                deltas = [
                    each
                    for n, block in blocks
                    for each in (*self._block(block, n), *self._close(n))
                ]
                self.ended = True
                ending = [*self._end(payload, payload.get("usage"))]
                # What is known of the answer goes first: its text may end it.
                return [*self._introduce(payload, "id"), ending[0], *deltas, *ending[1:]]
        return ()

    def knows(self, payload: Any) -> bool:
        """Tell whether a payload is part of an answer, by its type."""
        return str(payload.get("type")).startswith(("content_block", "message"))

    def _start(self, message: Mapping[str, Any]) -> Sequence[Delta]:
        """Say what is known before the answer; its output tokens are only a placeholder there."""
        counts = {**(message.get("usage") or {})}
        counts.pop(USAGE.output, None)
        return [self._counted(USAGE, counts), *self._introduce(message, "id")]

    def _block(self, block: Mapping[str, Any], index: int) -> Iterator[Delta]:
        kind = block.get("type")
        if kind == "text":
            self._cited[index] = self._said, [*(block.get("citations") or ())]
            if block.get("text"):
                yield self._say(block["text"])
            return
        self._apart = self._said
        if kind == "tool_use":
            call = self._calls.new(index)
            yield from call.begin(block.get("id"), block.get("name"), block.get("input"))
            return
        self._own[index] = dict(block)
        self._places[index] = self._said, len(self._calls)
        if kind in _THINKING:
            if thinking := block.get("thinking"):
                yield Reasoning(thinking)
            yield self._finish()  # text that follows may end the answer

    def _close(self, index: int) -> Iterator[Delta]:
        """Yield what is known only at the end of a block."""
        if index in self._cited:
            begin, cited = self._cited.pop(index)
            self._citations.hold(cited, begin=begin - self._apart, end=self._said - self._apart)
            yield from self._citations.release()
        block = self._own.get(index)
        if block is not None and block.get("type") not in _THINKING:
            if written := self._inputs.pop(index, ""):
                block["input"] = read_object(written)[0] or {}
            yield _beside(block)
            yield self._finish()  # likewise

    def _delta(self, delta: Mapping[str, Any], index: int) -> Iterator[Delta]:
        match delta.get("type"):
            case "text_delta" if delta.get("text"):
                yield self._say(delta["text"])
            case "citations_delta":
                self._cited.setdefault(index, (self._said, []))[1].append(delta.get("citation"))
            case "thinking_delta":
                self._think(index, "thinking", delta["thinking"])
                yield Reasoning(delta["thinking"])
            case "signature_delta":
                self._think(index, "signature", delta["signature"])
                yield self._finish()  # text that follows may end the answer
            case "input_json_delta" if index in self._own:
                self._inputs[index] = self._inputs.get(index, "") + delta.get("partial_json", "")
            case "input_json_delta":
                if call := self._calls.at(index):
                    yield from call.fragment(delta.get("partial_json"))

    def _say(self, text: str) -> str:
        self._said += len(text)
        return text

    def _think(self, index: int, key: str, more: str) -> None:
        thought = self._own.setdefault(index, {"type": "thinking"})
        thought[key] = thought.get(key, "") + more

    def _end(self, delta: Mapping[str, Any], usage: Any) -> Iterator[Delta]:
        self._reason = given(delta.get("stop_reason")) or self._reason
        yield self._counted(USAGE, usage)
        if self._reason == "refusal":  # its words, if there are any, came as text
            yield Refusal((delta.get("stop_details") or {}).get("explanation") or "")
        if self._reports_stop and (stop := delta.get("stop_sequence")):
            yield from self.flush()  # the stop sequence ends the answer
            yield stop

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""
        return [*self._calls.flush(), self._finish()]

    def _finish(self) -> Finish:
        """Say how the answer ended, with the thoughts that have to go back."""
        own = ((each, self._places.get(n, (0, 0))) for n, each in self._own.items())
        back = [each for each in own if _goes_back(each[0])]
        self._metadata |= kept(THOUGHTS, back)
        return super()._finish()


_THINKING = frozenset({"redacted_thinking", "thinking"})


def _goes_back(block: Mapping[str, Any]) -> bool:
    """Tell whether the server wants a block back: thoughts only where they are signed."""
    return block.get("type") not in _THINKING or bool(block.keys() & {"data", "signature"})


def _beside(block: Mapping[str, Any]) -> Delta:
    """Return what one of the server's own tools does, or what no form is known for."""
    kind, content = str(block.get("type")), block.get("content")
    if kind in {"mcp_tool_use", "server_tool_use"}:
        extras = {n: v for n, v in block.items() if n not in {"id", "input", "name", "type"}}
        return called(block.get("id"), str(block.get("name")), block.get("input"), **extras)
    if "tool_use_id" not in block:
        return other(block)
    error = isinstance(content, Mapping) and str(content.get("type")).endswith("_error")
    failed = bool(error or block.get("is_error"))
    return result(block["tool_use_id"], content, failed=failed, block_type=kind)
