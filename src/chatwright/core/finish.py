"""Why answers end: the reasons that LLMs and servers give, by OpenAI's names."""

import functools
import re
from collections.abc import Mapping

__all__ = ["finish_state", "normalized_reason"]

_NAMES: Mapping[str, tuple[str, ...]] = {
    "stop": (
        *("complete", "completed", "done", "end_turn", "eos", "eos_token", "finished"),
        *("stop_sequence", "stop_token"),
    ),
    "length": (
        *("max_length", "max_new_tokens", "max_output_tokens", "max_tokens", "model_length"),
        *("context_length_exceeded", "model_context_window_exceeded", "truncated"),
        "error_limit",
    ),
    "tool_calls": ("function_call", "tool_call", "tool_use"),
    "content_filter": (
        *("blocklist", "content_filtered", "guardrail_intervened", "prohibited_content"),
        *("error_toxic", "image_safety", "recitation", "safety", "sensitive", "spii"),
    ),
    "refusal": ("refused",),
}
"""OpenAI's names, `refusal` beside them, and what OpenAI's Responses, Anthropic, Gemini, Bedrock,
Cohere, Mistral, Ollama, TGI and vLLM call the same."""


def _bare(reason: str) -> str:
    """Return a reason as it is compared: `FINISH_REASON_MAX_TOKENS` and `max-tokens` are one."""
    bare = re.sub(r"[^a-z0-9]", "", reason.lower())
    return bare.removeprefix("finishreason") or bare


_NORMALIZED = {_bare(raw): name for name, raws in _NAMES.items() for raw in (name, *raws)}


@functools.lru_cache(maxsize=256)
def normalized_reason(reason: str) -> str:
    """Return a finish reason by OpenAI's names, or `refusal`; any other one as it is."""
    return _NORMALIZED.get(_bare(reason), reason)


def finish_state(reason: str) -> str:
    """Return what a normalized reason means for the answer.

    Returns:
        `completed`; `incomplete`, where it was cut; `refused`; or `unknown`.
    """
    if reason in {"stop", "tool_calls"}:
        return "completed"
    if reason in {"length", "content_filter"}:
        return "incomplete"
    return "refused" if reason == "refusal" else "unknown"
