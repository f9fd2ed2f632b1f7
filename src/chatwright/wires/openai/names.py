"""What both ends of OpenAI's chat completions know of them."""

from collections.abc import Mapping

from chatwright.wires.usage import UsageFields

__all__ = [
    "DONE",
    "ERRORS",
    "IDS",
    "OPAQUE",
    "PARTS",
    "PATH",
    "REASONING",
    "REASONINGS",
    "SHORT_IDS",
    "USAGE",
]

PATH = "/chat/completions"
DONE = "[DONE]"
"""The payload that says that nothing more comes."""
REASONING = "reasoning_content"
"""The field of the reasoning, which OpenAI's own servers keep to themselves."""
REASONINGS = (REASONING, "reasoning", "thinking", "reasoning_text")
"""The fields in which servers give reasoning; the last is Copilot's."""
PARTS = "content"
"""Where Mistral gives it: in parts of the content."""
OPAQUE = frozenset(
    {
        "extra_content",  # Gemini's signature of a thought
        "provider_specific_fields",  # LiteLLM's, with the same
        "reasoning_details",  # OpenRouter's and MiniMax's, some of it encrypted
        "reasoning_opaque",  # Copilot's
        "thinking_blocks",  # LiteLLM's, signed by Anthropic
    }
)
"""Fields of an answer that only the server can read, and finds again where they go back."""
USAGE = UsageFields(
    input="prompt_tokens",
    output="completion_tokens",
    total="total_tokens",
    input_details={
        "cache_read": ("prompt_tokens_details", "cached_tokens"),
        "cache_creation": ("prompt_tokens_details", "cache_write_tokens"),
        "audio": ("prompt_tokens_details", "audio_tokens"),
    },
    output_details={
        "reasoning": ("completion_tokens_details", "reasoning_tokens"),
        "audio": ("completion_tokens_details", "audio_tokens"),
    },
    also={
        "cache_read": (("prompt_cache_hit_tokens",), ("cached_tokens",)),  # DeepSeek's, Moonshot's
        "reasoning": (("reasoning_tokens",),),
    },
)
ERRORS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,  # llama.cpp's
    "invalid_api_key": 401,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
}
"""OpenAI's `type` or `code` of an error."""
IDS = ".{1,40}"
"""What OpenAI takes for a call's id (vercel/ai#5171)."""
SHORT_IDS = "[A-Za-z0-9]{9}"
"""What Mistral does."""
