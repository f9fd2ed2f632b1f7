"""What both ends of Anthropic's Messages know of them."""

from collections.abc import Mapping

from chatwright.wires.usage import UsageFields

__all__ = ["ERRORS", "PATH", "REASONS", "USAGE"]

PATH = "/messages"
REASONS: Mapping[str, str] = {
    "length": "max_tokens",
    "stop": "end_turn",
    "tool_calls": "tool_use",
}
"""Why answers end: Anthropic's names by OpenAI's. A stop sequence and a refusal have others."""
USAGE = UsageFields(
    input="input_tokens",
    output="output_tokens",
    input_details={
        "cache_read": ("cache_read_input_tokens",),
        "cache_creation": ("cache_creation_input_tokens",),
    },
    output_details={"reasoning": ("output_tokens_details", "thinking_tokens")},
    apart=True,
)
ERRORS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""An error's `type`. https://docs.anthropic.com/en/api/errors."""
