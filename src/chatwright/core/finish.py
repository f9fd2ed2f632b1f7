"""Why answers end: the reasons that LLMs and servers give, by OpenAI's names."""

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
    ),
    "tool_calls": ("function_call", "tool_call", "tool_use"),
    "content_filter": (
        *("blocklist", "content_filtered", "guardrail_intervened", "prohibited_content"),
        *("recitation", "safety", "spii"),
    ),
    "refusal": ("refused",),
}
"""OpenAI's names, `refusal` beside them, and what OpenAI's Responses, Anthropic, Gemini, Bedrock,
Cohere, Mistral, Ollama, TGI and vLLM call the same."""

_NORMALIZED = {raw: name for name, raws in _NAMES.items() for raw in (name, *raws)}


def normalized_reason(reason: str) -> str:
    """Return a finish reason by OpenAI's names, or `refusal`; any other one as it is."""
    return _NORMALIZED.get(reason.lower(), reason)


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
