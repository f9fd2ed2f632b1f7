"""What both ends of OpenAI's Responses know of them."""

from collections.abc import Mapping
from typing import Any

from chatwright.wires.openai import names
from chatwright.wires.usage import UsageFields

__all__ = [
    "CODES",
    "ERRORS",
    "MAX_TOKENS",
    "PATH",
    "PHASE",
    "REASONS",
    "THOUGHTS",
    "UNSAID",
    "USAGE",
]

PATH = "/responses"
CODES: Mapping[str, int] = {"server_error": 500, "rate_limit_exceeded": 429, "invalid_prompt": 400}
"""The codes of errors of responses that have failed, and the HTTP statuses that they stand for."""
ERRORS: Mapping[str, int] = {**names.ERRORS, **CODES}
MAX_TOKENS = "max_output_tokens"
"""The parameter that bounds an answer, and the reason of the end of one that it has cut."""
REASONS: Mapping[str, str] = {"length": MAX_TOKENS, "content_filter": "content_filter"}
"""Why answers are incomplete: the wire's names by those of chat completions."""
USAGE = UsageFields(
    input="input_tokens",
    output="output_tokens",
    total="total_tokens",
    input_details={
        "cache_read": ("input_tokens_details", "cached_tokens"),
        "cache_creation": ("input_tokens_details", "cache_write_tokens"),
    },
    output_details={"reasoning": ("output_tokens_details", "reasoning_tokens")},
    always=(
        ("input_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
)
UNSAID: Mapping[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
"""The fields of a request that its answer tells again as they are, and what it tells where the
request says nothing: Open Responses has no null for most of them."""

THOUGHTS = "reasoning_items"
"""Where a message keeps what has to go back: reasoning that the server encrypted, its own tools'
calls, and where messages of which phase began."""
PHASE = "phase"
"""What a message is: `commentary` before calls, or the `final_answer`. It goes back, too."""
