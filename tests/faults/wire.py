"""OpenAI's wire by hand, on langchain_core alone: what the controls send and read."""

import json
import re
import uuid
from collections.abc import Iterator, Sequence

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

CALLS_FROM = 100
"""Under v1 core numbers text and reasoning from 0: calls have to stay clear of them."""

ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
STATES = {
    "stop": "completed",
    "tool_calls": "completed",
    "refusal": "refused",
    "length": "incomplete",
    "content_filter": "incomplete",
}
NOT_SENT = {
    *("reasoning", "reasoning_content", "thinking", "redacted_thinking"),
    *("tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "tool_result"),
}


# Requests.


def as_openai(messages: Sequence[BaseMessage], *, images: bool = True) -> list[dict]:
    return [each for message in messages for each in _message(message, images=images)]


def _message(message: BaseMessage, *, images: bool) -> Iterator[dict]:
    blocks = message.content if isinstance(message.content, list) else [message.content]
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks]
    results = [block for block in blocks if block.get("type") == "tool_result"]
    for block in results:
        content = block.get("content") or ""
        text = content if isinstance(content, str) else "".join(b["text"] for b in content)
        yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}
    parts = [part for block in blocks if (part := _part(block, images=images))]
    if results and not parts:
        return
    content = parts
    if all(part["type"] == "text" for part in parts):
        content = "".join(part["text"] for part in parts)
    role = message.role if message.type == "chat" else ROLES.get(message.type, message.type)
    made = {"role": message.additional_kwargs.get("__openai_role__", role), "content": content}
    if message.name:
        made["name"] = message.name
    if message.type == "tool":
        made["tool_call_id"] = message.tool_call_id
    if calls := [*_calls(message, blocks)]:
        made["tool_calls"] = calls
    yield made


def _calls(message: BaseMessage, blocks: list[dict]) -> Iterator[dict]:
    known = set()
    for call in getattr(message, "tool_calls", ()):
        known.add(call["id"])
        yield _call(call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
    for call in getattr(message, "invalid_tool_calls", ()):
        known.add(call["id"])
        yield _call(call["id"], call["name"], call["args"])
    for block in blocks:
        if block.get("type") in {"tool_use", "tool_call"} and block.get("id") not in known:
            args = block.get("input", block.get("args")) or {}
            yield _call(block.get("id"), block["name"], json.dumps(args, ensure_ascii=False))


def _call(call_id: str | None, name: str | None, args: str | None) -> dict:
    function = {"name": name or "", "arguments": args or ""}
    return {"type": "function", "id": call_id or "", "function": function}


def _part(block: dict, *, images: bool) -> dict | None:
    kind = block.get("type")
    if kind in NOT_SENT:
        return None
    if kind in {"text", "text-plain"}:
        return {"type": "text", "text": block.get("text") or ""}
    if kind == "refusal":
        return {"type": "text", "text": block.get("refusal") or ""}
    if kind in {"image", "image_url"} and images:
        return {"type": "image_url", "image_url": {"url": _image_url(block)}}
    takes = "text and images" if images else "text"
    raise ModelInvalidRequestError(f"this model takes {takes} only, and no {kind!r} content")


def _image_url(block: dict) -> str:
    if block["type"] == "image_url":
        url = block["image_url"]
        return url if isinstance(url, str) else url["url"]
    source = block.get("source") or block
    if source.get("url"):
        return source["url"]
    data = source.get("base64") or source.get("data")
    return f"data:{source.get('mime_type') or source.get('media_type')};base64,{data}"


# Server-sent events.


class Events:
    """Takes bytes, gives the data of events. httpx's own lines end at U+2028 too; these don't."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines if (event := self._line(line)) is not None]

    def flush(self) -> list[str]:
        return [event for line in (self._rest, b"") if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> str | None:
        text = line.decode(errors="replace").rstrip("\r")
        if not text and self._data:
            event, self._data = "\n".join(self._data), []
            return event
        if text.startswith("data:"):
            self._data.append(text[5:].removeprefix(" "))
        return None


# Stop sequences.


class Stops:
    """Ends text at the stop sequence that is complete first; holds back only what may be one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.held = ""
        self.matched: str | None = None

    def feed(self, text: str) -> str:
        text = self.held + text
        found = [(text.find(s) + len(s), s) for s in self.stops if s in text]
        if found:
            end, self.matched = min(found, key=lambda each: (each[0], -len(each[1])))
            self.held = ""
            return text[:end]
        keep = self._may_begin(text)
        self.held = text[keep:]
        return text[:keep]

    def _may_begin(self, text: str) -> int:
        longest = max(map(len, self.stops), default=1) - 1
        for at in range(max(0, len(text) - longest), len(text)):
            if any(stop.startswith(text[at:]) for stop in self.stops):
                return at
        return len(text)

    def flush(self) -> str:
        held, self.held = self.held, ""
        return held


# Answers.


def chunk(**fields) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}))


class Answer:
    """Turns what the server sends into chunks."""

    def __init__(self, model_name: str, provider: str, stops: Sequence[str]) -> None:
        self.stops = Stops(stops)
        self.model_name = model_name
        self.provider = provider
        self.calls: dict[int, dict] = {}
        self.reason: str | None = None
        self.usage: dict | None = None
        self.server_says = False
        self.refused = False

    @property
    def done(self) -> bool:
        """Whether a stop sequence has come, so that no more is wanted."""
        return self.stops.matched is not None

    def feed(self, event: str) -> list[ChatGenerationChunk]:
        if event.strip() == "[DONE]":
            self.server_says = True
            return []
        return self.read(parsed(event))

    def read(self, data: dict) -> list[ChatGenerationChunk]:
        if data.get("error"):
            raise refused(None, json.dumps(data))
        self.model_name = data.get("model") or self.model_name
        if data.get("usage"):
            self.usage = data["usage"]
        chunks = []
        for choice in data.get("choices") or ():
            chunks += self.delta(choice.get("delta") or choice.get("message") or {})
            self.reason = choice.get("finish_reason") or self.reason
        return chunks

    def delta(self, delta: dict) -> list[ChatGenerationChunk]:
        chunks = []
        if reasoning := delta.get("reasoning_content"):
            chunks += self.reasoning(reasoning)
        if refusal := delta.get("refusal"):
            chunks += self.refusal(refusal)
        if text := delta.get("content"):
            chunks += self.text(self.stops.feed(text))
        if self.done:
            return chunks
        for position, call in enumerate(delta.get("tool_calls") or ()):
            chunks += self.text(self.stops.flush())
            chunks += self.call(call.get("index", position), call)
        return chunks

    def text(self, text: str) -> list[ChatGenerationChunk]:
        return [chunk(content=text)] if text else []

    def reasoning(self, text: str) -> list[ChatGenerationChunk]:
        return [chunk(additional_kwargs={"reasoning_content": text})]

    def refusal(self, text: str) -> list[ChatGenerationChunk]:
        """Send the words beside the text, as OpenAI's API has them."""
        self.refused = True
        return [chunk(additional_kwargs={"refusal": text})]

    def call(self, index: int, call: dict) -> list[ChatGenerationChunk]:
        """Send the id and the name once, on a call's first chunk; where no id comes, make one."""
        function = call.get("function") or {}
        known = self.calls.setdefault(index, {"id": None, "name": None, "args": "", "sent": False})
        known["id"] = known["id"] or call.get("id")
        known["name"] = known["name"] or function.get("name")
        args = function.get("arguments") or ""
        known["args"] += args
        if known["sent"]:
            return [self.call_chunk(index, args=args)] if args else []
        if not known["name"]:
            return []
        known["sent"] = True
        others = {each["id"] for at, each in self.calls.items() if at != index}
        if not known["id"] or known["id"] in others:
            known["id"] = self.new_id()
        return [self.call_chunk(index, id=known["id"], name=known["name"], args=known["args"])]

    def new_id(self) -> str | None:
        return f"call_{uuid.uuid4().hex[:24]}"

    def call_chunk(self, index: int, **fields) -> ChatGenerationChunk:
        return chunk(tool_call_chunks=[tool_call_chunk(index=CALLS_FROM + index, **fields)])

    def end(self) -> list[ChatGenerationChunk]:
        return [*self.text(self.stops.flush()), *self.broken(), self.last()]

    def broken(self) -> list[ChatGenerationChunk]:
        """Keep the parser by which chunks are added up from completing calls that were cut."""
        chunks = []
        for index, call in self.calls.items():
            if not call["sent"]:
                chunks.append(self.call_chunk(index, id=call["id"], name="", args=call["args"]))
            if self.arguments(call) is None:
                chunks.append(self.call_chunk(index, args=breaking(call["args"])))
        return chunks

    def arguments(self, call: dict) -> dict | None:
        try:
            args = json.loads(call["args"] or "{}", strict=False)
        except ValueError:
            return None
        return args if isinstance(args, dict) and call["name"] else None

    def last(self) -> ChatGenerationChunk:
        return chunk(
            response_metadata=self.metadata(),
            usage_metadata=self.counts(),
            chunk_position="last",
        )

    def metadata(self) -> dict:
        metadata = {
            "model_name": self.model_name,
            "model_provider": self.provider,
            "finish_reason": "stop" if self.done else self.reason or "stop",
        }
        name = "refusal" if self.refused else metadata["finish_reason"]
        metadata["normalized_finish_reason"] = name
        metadata["finish_state"] = STATES.get(name, "unknown")
        if self.done:
            metadata["stop_sequence"] = self.stops.matched
        return metadata

    def counts(self) -> dict | None:
        """Return the usage that the server told; nothing where it told nothing."""
        if not self.usage:
            return None
        spent = self.usage.get("prompt_tokens") or 0
        made = self.usage.get("completion_tokens") or 0
        counts = {"input_tokens": spent, "output_tokens": made, "total_tokens": spent + made}
        cached = (self.usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        thought = (self.usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        if cached:
            counts["input_token_details"] = {"cache_read": min(cached, spent)}
        if thought:
            counts["output_token_details"] = {"reasoning": min(thought, made)}
        return counts

    def message(self, chunks: Sequence[ChatGenerationChunk]) -> AIMessage:
        """Return the whole answer; calls are parsed of their raw text."""
        first, *rest = [each.message for each in chunks]
        total = first + rest if rest else first
        valid, invalid = [], []
        for call in self.calls.values():
            args = self.arguments(call)
            if args is not None:
                valid.append(tool_call(name=call["name"], args=args, id=call["id"]))
            else:
                said = {"name": call["name"], "args": call["args"], "id": call["id"]}
                invalid.append(invalid_tool_call(**said, error="the arguments can't be read"))
        return AIMessage(
            content=total.content,
            additional_kwargs=total.additional_kwargs,
            response_metadata=total.response_metadata,
            usage_metadata=total.usage_metadata,
            tool_calls=valid,
            invalid_tool_calls=invalid,
        )


def with_stops(stops: type[Stops]) -> type[Answer]:
    """Return answers that look for stop sequences in another way."""

    class Reads(Answer):
        def __init__(self, model_name, provider, given) -> None:
            super().__init__(model_name, provider, given)
            self.stops = stops(given)

    return Reads


def breaking(raw: str) -> str:
    """Return what makes cut JSON unreadable to a parser that completes it: a wrong bracket."""
    strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", raw, flags=re.DOTALL)
    end = ""
    if '"' in strings:  # within a string
        end = '""' if (len(raw) - len(raw.rstrip("\\"))) % 2 else '"'
        strings = strings[: strings.index('"')]
    opened = ""
    for each in re.findall(r"[\[\]{}]", strings):
        opened = opened + each if each in "[{" else opened[:-1]
    return end + ("}" if opened.endswith("[") else "]")


def parsed(event: str) -> dict:
    try:
        data = json.loads(event)
    except ValueError as error:
        raise ModelAPIError(f"the server sent no JSON: {event[:80]!r}") from error
    if not isinstance(data, dict):
        raise ModelAPIError(f"the server sent {event[:80]!r}")
    return data


# Errors.

ERRORS = {
    400: ModelInvalidRequestError,
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    413: ContextOverflowError,
    422: ModelInvalidRequestError,
    429: ModelRateLimitError,
    504: ModelTimeoutError,
}
TOO_LONG = ("context_length", "context length", "context window", "too many tokens", "too long")


def refused(status: int | None, body: str) -> ModelError:
    """Return the error that a status and a body are."""
    try:
        error = json.loads(body)["error"]
        said = error if isinstance(error, str) else str(error.get("message") or error)
        code = "" if isinstance(error, str) else error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        said, code = body[:500], ""
    if status is None:
        status = code if isinstance(code, int) else 500
    if status in {400, 413, 422} and any(each in f"{code} {said}".lower() for each in TOO_LONG):
        return ContextOverflowError(f"{status}: {said}")
    kind = ERRORS.get(status, ModelAPIError if status >= 500 else ModelInvalidRequestError)
    return kind(f"{status}: {said}")
