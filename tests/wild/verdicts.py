"""What check says of each model of the corpus: what FAILs, and nothing else may."""

BROKEN_CALLS = "T6 T7 O4"
"""Arguments of calls are parsed by a bare `json.loads`, which raises."""
STRICT = "T14"
"""`strict` is lost, or, where it is taken, sent as a parameter of the whole request."""

FAILS = {
    # Of each wrong model: the rules that its own fault breaks, and those that it breaks besides;
    # `*` where nothing can be asked of it any more.
    "tools_on_self": ("T1 T2 O1 E5", f"{BROKEN_CALLS} M5"),
    "stream_forgets_tools": (
        "S2 S6 C7 U1 T2 T5 T10 T11 O1 O2 O5 E5",
        f"{BROKEN_CALLS} T8 M5",
    ),
    "async_that_blocks": ("A1 A3 E4", "M4"),
    "errors_as_answers": ("E1 B7 B10 M8", ""),
    "sanitizer_mutates": ("B5", "A5 O4 M8 K3"),
    "private_settings": ("R2 R6", "B7 U5 M8"),
    "usage_added_up": ("U1 U2 U3", "M5"),
    "simple_ignores_stop": ("P1 P2 P5 B10 R2 M4", "B7 B11 U1 M8"),
    "memory_on_model": ("E7", ""),
    "tool_results_flattened": (f"{BROKEN_CALLS} T8 T13 M5", "S16"),
    "retry_in_mid_stream": ("E2 E6", ""),
    "asyncio_run_inside": ("B1 A5", "*"),
    "structured_by_regex": ("O1 O4", ""),
    "key_in_the_open": ("K1", ""),
    "bytes_cut_anywhere": ("S16", "M4 E2"),
    "sticky_tools": ("T1 O1 E5", "S11"),
    "tool_results_as_user": ("T13 M5", "M4 E2"),
    "structured_by_hand": ("O1 O2 O4", ""),
    "errors_as_text": ("E1 E2 E3 B7 B10 M8", ""),
    "args_swallowed": ("T5 T6", ""),
    "cache_key": ("R6", ""),
    "key_in_identifying_params": ("K1", ""),
    "repr_of_blocks": ("B5 M4", "T8 T13 E2"),
    "stream_without_tools": (
        "S2 C7 T2 T5 T6 T7 T8 T10 T11 O1 O2 O4 O5 E5",
        "S16 M5",
    ),
    "retry_restarts_stream": ("E2", ""),
    "init_drops_fields": ("A1 A3 E4 R6 R7", ""),
    "usage_twice": ("U1 U2 U3", ""),
    "ollama_top_level": ("P1 P2 P3 P5 P6 B10", ""),
    "first_output_item": (
        "A1 A3 E4 P1 P2 P5 B10 T2 T5 T6 T7 T8 T10 T11 O1 O2 O4 E5",
        "B7 M8",
    ),
    "memo_of_last_message": ("B6 P1 P2 P5 T1 T2 T12 T13 M4 M5 K4 R2", STRICT),
    "tools_leak": ("T1 O1 E5", f"{BROKEN_CALLS} M5"),
    "stream_forgets_stop": ("P1 P2 P3 P5 P6", BROKEN_CALLS),
    "usage_counted_twice": ("U1 U2 U3", "M4"),
    "thoughts_in_text": ("M1", "M5"),
    "stream_error_swallowed": ("E2", f"S16 {BROKEN_CALLS}"),
    "conversation_on_the_model": ("B4 B11 A2 M5 E7", "M4 R2"),
    "tool_history_lost": ("T13 M5", "M4"),
    "key_in_traces": ("K1", f"{BROKEN_CALLS} M5"),
    "structured_output_of_its_own": ("O4", "O1"),
    "parallel_calls_merged": ("C8 T10 T11", BROKEN_CALLS),
    "messages_raw_usage": ("U1", ""),
    "tools_kept_on_self": ("S11 T1 O1 E5", ""),
    "stream_calls_doubled": ("S2 T5 T6 T8 T10 T11", ""),
    "thinking_in_text": ("M1", ""),
    "async_in_name_only": ("A1 A3", ""),
    "previous_response": ("E1 E7", ""),
    "key_names_the_vendor": ("R6", ""),
    "always_calls": ("T2", "P4 K1"),
    "guard_walked_round": ("P1 P2 P5 B10 R2", ""),
    "stream_reads_what_it_likes": ("E1 E2", ""),
    "bare_init_router": ("C5 R6 R7 S11", ""),
    "cached_prompt_claude": ("B5 U1 U2 U3", ""),
    "growing_summary_local": ("P1 S2", ""),
    "home_ollama_sdk": ("S2 C7 T5 T8 T10 T11 O1 O2 O4 O5 R2 E5", ""),
    "memo_saver_chat": ("B6 P1 P2 P5 T1 T2 T12 T13 T14 M4 M5 K4 R2 R5", ""),
    "never_down_fallback": ("B10 E1 E2 E3", ""),
    "notebook_bridge_chat": ("A5", "O1 O2 O4 O5"),
    "swarm_tools_gateway": ("T6 T7 T10 T11 O1 O5 E5", "T2 O2 O4 M5"),
    "tenant_client_cache": ("A5", ""),
    "tiny_window_sse": ("S2 S16 E2", "T10 T11 O1 O2 O4 O5"),
}

OPENAI_REFUSAL = "langchain-openai tells a refusal in whole answers, and not in streams"
OPENAI_PARSING = "langchain-openai's include_raw raises where the LLM writes no JSON"
OPENAI_STREAMS = (
    "langchain-openai's _generate falls over streaming=True when it is called from outside"
)
HONEST_FAILS = {
    # What FAILs of the right models: the rule, and what is true of it.
    "bot_aiohttp": {
        "M4": "an image in a tool's result is left out without a word",
    },
    "responses_subclass": {
        "O4": OPENAI_PARSING,
        "M8": OPENAI_REFUSAL,
        "M4": "langchain-openai leaves audio out of what it sends to Responses",
        "R2": "over Responses, langchain-openai prefers the constructor's max_tokens to a call's",
    },
    "house_rules_wrapper": {
        "C2": OPENAI_STREAMS,
        "M8": OPENAI_REFUSAL,
    },
    "reasoning_sub_sub": {
        "O4": OPENAI_PARSING,
        "M8": OPENAI_REFUSAL,
        "M1": "model_provider is openai's, for which core leaves reasoning_content out of blocks",
    },
    "settings_factory": {
        "C2": "its function drops what its settings do not know, such as streaming",
        "P4": "its function drops what its settings do not know, such as stop",
        "E6": "its function drops what its settings do not know, such as max_retries",
    },
    "redacting_wrapper": {"C2": OPENAI_STREAMS, "M8": OPENAI_REFUSAL},
    "failover_lanes": {"C2": OPENAI_STREAMS, "M8": OPENAI_REFUSAL},
    "responses_factory": {
        "M4": "an image in a tool's result is left out without a word",
        "R2": "its function takes any name, and its class drops those that it does not know",
    },
    "house_factory": {"O4": OPENAI_PARSING, "M8": OPENAI_REFUSAL},
    "ollama_schema": {"O1": "of a class of pydantic v1 it gives a dict"},
    "taught_tools_urllib": {"O1": "of a class of pydantic v1 it gives a dict"},
    "claude_proxy_sdk": {
        "S5": "its text is a str until a block of another type begins",
        "T11": "so that the sum's content_blocks have no text",
    },
    "responses_settings": {
        "M4": "an image in a tool's result is left out without a word",
        "M8": "a refusal becomes the text, and nothing tells it from an answer",
    },
    "service_async_only": {
        "P4": "its function takes any name, and every call of a model made with stop raises",
    },
    "redacting_factory": {"M8": OPENAI_REFUSAL},
    "reasoner_subclass": {"O4": OPENAI_PARSING, "M8": OPENAI_REFUSAL},
    "discreet_delegate": {"M8": OPENAI_REFUSAL},
}

_ASKED = "{} asked for {} below its address, which is of no wire"
UNREACHABLE = {
    # Wires of their own, which no fake upstream speaks: what the command says.
    "urllib_blocking": _ASKED.format("DeptServerChat", "/generate"),
    "chatml_simple": _ASKED.format("ChatMLCompletion", "/completion"),
    "own_sse": _ASKED.format("WardAssistant", "/answers"),
    "complete_text_own": _ASKED.format("DepartmentChat", "/complete"),
    "turns_own_sse": _ASKED.format("TurnChat", "/turn"),
    "tgi_simple_template": _ASKED.format("InstructTGIChat", "/generate"),
    "async_only_own_wire": _ASKED.format("ChatFoundry", "/answer"),
    "cohere_like": _ASKED.format("ChatNorthwind", "/v2/chat"),
}

WRONG_VERDICTS = {
    "args_swallowed": "its LLM is in the process: nothing can have it write what it swallows",
}
"""Models that check still misjudges, and how."""
