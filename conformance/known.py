"""What is known of findings: whose doing they are, their causes, and where they are told of."""

from collections.abc import Mapping, Sequence

__all__ = ["CAUSES", "CORE", "LINKS", "NOTES", "SAME", "UNTRIED"]

CORE: Sequence[tuple[str, str, str]] = (
    (
        "R6",
        "model_copy",
        "A used model's copy has its cache key: `_serialized` is a cached property, and kept.",
    ),
    (
        "T6",
        "for AIMessage tool_calls",
        "`parse_tool_call` lets a list pass as arguments, and `AIMessage` then raises.",
    ),
    (
        "T7",
        "core's sum",
        "The sum of chunks is parsed by `parse_partial_json`, which completes what was cut.",
    ),
    ("T11", ", v1", "Under `output_version='v1'` the text gets the index 0, as the first call."),
    ("M2", ", v1", "Likewise for text and reasoning."),
    ("C9", ", v1", "Likewise in what `on_llm_end` gets."),
    (
        "R5",
        "chunks, not",
        "A configured model is made of all fields: `streaming=False` counts as the user's wish.",
    ),
    ("R8", "core's own", "Tokens are counted by GPT-2's tokenizer, which is downloaded."),
    ("E4", "as core does", "The run of an `ainvoke` that is cancelled is left open."),
)
"""What is core's own doing: a rule, what its finding holds, and what core does."""
CAUSES: Sequence[tuple[str, Sequence[str], str]] = (
    (
        "ChatOllama",
        ("S11", "C3"),
        "`_generate` reads a stream, and hands `run_manager` to the loop that reads it.",
    ),
    (
        "ChatNVIDIA",
        ("T12", "T13", "M5"),
        "`_utils.py` sends the calls of `additional_kwargs`, not `tool_calls`.",
    ),
    (
        "ChatAmazonNova",
        ("T6", "T7", "O4"),
        "`json.loads` of the arguments raises while the message is made.",
    ),
    ("ChatAmazonNova", ("S7", "U5"), "Each chunk has the model's name, and their sum joins them."),
)
"""Rules that one cause is behind: the class, the rules, and the cause."""
SAME: Mapping[str, str] = {"P6": "E4"}
"""Rules that fail with `chat_model` around a model because another rule fails without it."""
NOTES: Mapping[tuple[str, str], str] = {
    ("K1", ""): "`repr` is what people print and log; core hands it to callbacks where a model is "
    "not serializable.",
    ("E6", "ChatOpenRouter"): 'Its docs say of `max_retries`: "Set to `0` to disable." With '
    "the default, 2, retries end after some 300 s.",
    ("T8", ""): "Core's `AIMessage` has its share: it parses `additional_kwargs['tool_calls']`.",
    ("T14", "ChatQwen"): "The docstring of `bind_tools` says of `strict`: model output is "
    '"guaranteed to exactly match" the schema.',
    ("M4", ""): "What the provider's API takes is not known here: a refusal would do as well.",
    (
        "P1",
        "langchain-openai",
    ): "OpenAI's Responses API has no `stop`, and langchain-openai drops it on purpose.",
}
"""What needs a word, by rule and class; an empty class is any."""
_LANGCHAIN = "langchain-ai/langchain"
LINKS: Mapping[tuple[str, str], Sequence[str]] = {
    ("O4", "langchain-openai"): (f"{_LANGCHAIN}#32977", f"{_LANGCHAIN}#35030"),
    ("M8", "langchain-openai"): (f"{_LANGCHAIN}#39747", f"{_LANGCHAIN}#39849"),
    ("P1", "langchain-openai"): (f"{_LANGCHAIN}#38336",),
    ("R6", "langchain-ollama"): (f"{_LANGCHAIN}#25712",),
    ("O3", "langchain-litellm"): (f"{_LANGCHAIN}#30249",),
    ("T2", "langchain-anthropic"): ("langchain-ai/langchainjs#8928",),
    ("A5", "langchain-ollama"): ("strands-agents/harness-sdk#433",),
    ("A5", "langchain-mistralai"): ("strands-agents/harness-sdk#434",),
    ("A5", "langchain-fireworks"): (f"{_LANGCHAIN}#37172",),
    ("E4", "langchain-anyllm"): ("mozilla-ai/any-llm#1319",),
    ("E4", ""): ("openai/openai-python#969",),
    ("T8", "langchain-litellm"): ("langchain-ai/langchain-litellm#260",),
    ("E6", "langchain-openrouter"): (f"{_LANGCHAIN}#40379",),
    ("E6", "langchain-litellm"): ("BerriAI/litellm#850", "langchain-ai/langchain-litellm#252"),
}
"""Issues and pull requests that tell of the same, or of alike, by rule and package (any, if empty).
"""
UNTRIED: Mapping[str, str] = {
    "langchain-google-genai, langchain-aws, langchain-cohere, langchain-cloudflare": "they speak "
    "wires of their own, which the fake upstream does not",
    "langchain-gigachat": "likewise: calls are `function_call`s there, one an answer, at a path "
    "that looks like OpenAI's",
    "langchain-perplexity": "its constructor takes no address",
    "langchain-ibm": "it logs in first, and by https only",
    "langchain-crusoe": "its `base_url` is ignored, and `crusoe_api_base` takes its place",
    "langchain-writer, langchain-runpod, langchain-aimlapi, langchain-deepinfra, "
    "langchain-netmind": "they want langchain-core 0.3",
    "langchain-localai": "it has no chat model",
    "ChatHuggingFace": "its constructor wants another model, and no address",
}
"""What was looked at and could not be tried, and why."""
