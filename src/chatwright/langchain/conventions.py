"""A call in the words of OpenTelemetry's GenAI conventions: names and values, nothing is sent here.

All of these conventions are experimental, so that one version is followed: see `VERSION`. Names
from https://github.com/open-telemetry/semantic-conventions/tree/v1.41.1/docs/gen-ai.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from chatwright.langchain.request import Request

__all__ = [
    "CAPTURE",
    "SECONDS",
    "TOKENS",
    "VERSION",
    "ends",
    "is_captured",
    "labels",
    "requested",
    "said",
    "spent",
]

VERSION = "1.41.1"
"""The version of the semantic conventions, the last one before GenAI's moved to their own
repository. That one's v0.1.0 renames the metrics, which OpenTelemetry's own tools do not yet."""
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable by which content is asked for, as OpenTelemetry's own tools read it."""

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))

_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistralai": "mistral_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""The conventions' names of providers by LangChain's, where they differ."""

_NUMBERS = {
    "temperature": ("gen_ai.request.temperature", float),
    "top_p": ("gen_ai.request.top_p", float),
    "top_k": ("gen_ai.request.top_k", int),
    "max_tokens": ("gen_ai.request.max_tokens", int),
    "seed": ("gen_ai.request.seed", int),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", float),
    "presence_penalty": ("gen_ai.request.presence_penalty", float),
}
_DETAILS = {
    ("input_token_details", "cache_read"): "gen_ai.usage.cache_read.input_tokens",
    ("input_token_details", "cache_creation"): "gen_ai.usage.cache_creation.input_tokens",
    ("output_token_details", "reasoning"): "gen_ai.usage.reasoning.output_tokens",
}
_PORTS = {"http": 80, "https": 443}
_ROLES = {"human": "user", "ai": "assistant"}


def is_captured(asked: str) -> bool:
    """Tell whether content is to be recorded.

    Args:
        asked: The value of `CAPTURE`. `span_only`, `span_and_event` and `true` say yes.
            `event_only` says no: there are no events here.
    """
    return asked.strip().lower() in {"1", "span_and_event", "span_only", "true"}


def labels(model: Any) -> dict[str, Any]:
    """Return what spans and metrics of a model's calls have in common.

    Args:
        model: A `ChatModel` with the call's values in its fields.
    """
    told = _params(model)
    provider = str(told.get("ls_provider") or "_OTHER")
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model.model_name,
    }
    if host := _host(getattr(model, "base_url", None)):
        known["server.address"], known["server.port"] = host
    return known


def _params(model: Any) -> Mapping[str, Any]:
    """Return what LangSmith is told: by the model inside, where one is wrapped."""
    inner = getattr(model, "runnable", None)
    return (inner if isinstance(inner, BaseChatModel) else model)._get_ls_params()  # noqa: SLF001  LangChain's way to ask


def _host(url: Any) -> tuple[str, int] | None:
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


def requested(model: Any, request: Request, *, streams: bool) -> Iterator[tuple[str, Any]]:
    """Yield what a call asks for: what it, or the model's fields, set.

    Args:
        model: A `ChatModel` with the call's values in its fields.
        request: What is asked.
        streams: Whether the answer goes out in pieces.
    """
    if streams:
        yield "gen_ai.request.stream", True
    told = _params(model)
    for name, (key, kind) in _NUMBERS.items():
        value = request.parameters.get(name, getattr(model, name, None))
        value = told.get(f"ls_{name}") if value is None else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, kind(value)
    if stops := request.stop or told.get("ls_stop"):
        yield "gen_ai.request.stop_sequences", [*map(str, stops)]
    if request.response_format:
        yield "gen_ai.output.type", "json"
    chosen = request.config.get("configurable") or {}
    for name in ("session_id", "thread_id"):
        if isinstance(value := chosen.get(name), str):
            yield "gen_ai.conversation.id", value
            return


def ends(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield how an answer ended.

    Args:
        metadata: Its `response_metadata`.
    """
    if reason := metadata.get("finish_reason"):
        yield "gen_ai.response.finish_reasons", [str(reason)]
    if name := metadata.get("model_name"):
        yield "gen_ai.response.model", str(name)
    if isinstance(its_id := metadata.get("id"), str):
        yield "gen_ai.response.id", its_id
    if metadata.get("usage_estimated"):
        yield "chatwright.usage.estimated", True
    if (attempts := metadata.get("attempts")) is not None:
        yield "chatwright.attempts", attempts


def spent(usage: UsageMetadata) -> Iterator[tuple[str, int]]:
    """Yield the tokens of an answer, cached and reasoning ones as parts of the totals.

    Args:
        usage: Its `usage_metadata`.
    """
    yield "gen_ai.usage.input_tokens", usage["input_tokens"]
    yield "gen_ai.usage.output_tokens", usage["output_tokens"]
    for (group, name), key in _DETAILS.items():
        details: Mapping[str, Any] = usage.get(group) or {}  # type: ignore[assignment]
        if isinstance(count := details.get(name), int):
            yield key, count


def said(
    messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]] | None, answer: Any = None
) -> Iterator[tuple[str, str]]:
    """Yield a conversation's content as JSON, by the conventions' schemas.

    What stands for binary data is how much of it there was.

    Args:
        messages: What was sent; system messages are among them, as LangChain has them.
        tools: The tools in OpenAI's form.
        answer: The message that came; None where none did.
    """
    yield "gen_ai.input.messages", _json([_message(each) for each in messages])
    if tools:
        yield "gen_ai.tool.definitions", _json([_tool(each) for each in tools])
    if isinstance(answer, BaseMessage):
        reason = str(answer.response_metadata.get("finish_reason") or "stop")
        yield "gen_ai.output.messages", _json([{**_message(answer), "finish_reason": reason}])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, Mapping) else tool


def _message(message: BaseMessage) -> dict[str, Any]:
    role = _ROLES.get(message.type, message.type)
    if isinstance(message, ToolMessage):
        told = {"id": message.tool_call_id, "response": message.text}
        return {"role": role, "parts": [{"type": "tool_call_response", **told}]}
    parts = [_part(each) for each in message.content_blocks]
    if isinstance(message, AIMessage):
        parts += [_call(each) for each in message.invalid_tool_calls]
    named = {"name": message.name} if message.name else {}
    return {"role": role, "parts": parts, **named}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    told = {"id": call.get("id"), "name": call.get("name") or "", "arguments": call.get("args")}
    return {"type": "tool_call", **told}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(block.get("type"))
    if kind == "text":
        return {"type": "text", "content": block.get("text", "")}
    if kind == "reasoning":
        return {"type": "reasoning", "content": block.get("reasoning", "")}
    if kind in {"tool_call", "invalid_tool_call"}:
        return _call(block)
    if kind in {"audio", "file", "image", "video"}:
        return _medium(block, {"modality": "document" if kind == "file" else kind})
    return {"type": kind}  # a provider's own: its name tells enough


def _medium(block: Mapping[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    if mime := block.get("mime_type"):
        told["mime_type"] = mime
    if url := block.get("url"):
        return {"type": "uri", **told, "uri": url}
    if its_id := block.get("file_id"):
        return {"type": "file", **told, "file_id": its_id}
    return {"type": "blob", **told, "content": "", "left_out": len(block.get("base64") or "")}
