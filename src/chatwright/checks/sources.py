"""What each rule rests on: where LangChain, a standard or a provider says so, or forces it.

Looked up in langchain-core 1.8.3, langchain-tests 1.1.9, langchain 1.5.2, langgraph 1.2.24,
langchain-openai 1.7.4 and openai 3.57.0, and in the documentation of August 2026. Docstrings, tests
and documents are quoted, in single quotes; what code forces is told in our own words.
"""

from collections.abc import Mapping

__all__ = ["SOURCES"]

SOURCES: Mapping[str, str] = {
    # Basics
    "B1": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel` (docstring): "
    "`invoke` takes a str, a list of dicts, tuples or messages, or a PromptValue. langchain-tests "
    "1.1.9, `test_invoke`: the answer is an AIMessage, and its text a str.",
    "B2": "LangChain's docs, How to create a custom chat model class, checklist: 'Include a "
    "`model_name` in identifying params'. langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel` (docstring), `_llm_type`, required: 'Used to "
    "uniquely identify the type of the model. Used for logging.'",
    "B3": "langchain-tests 1.1.9, `test_init`: the constructor is given temperature, max_tokens, "
    "timeout, max_retries, stop and api_key, and `test_init_streaming`: streaming. LangChain's "
    "docs, Models, Parameters, tell what most of them do.",
    "B4": "langchain-tests 1.1.9, `test_double_messages_conversation`: 'Your model API can handle "
    "double messages, or the integration should merge messages before sending them to the API.' "
    "`test_message_with_name`: a name is passed on or ignored.",
    "B5": "langchain-core 1.8.3, `langchain_core.language_models._utils._normalize_messages`: 'We "
    "preserve input messages - the caller may reuse them elsewhere and expects them to remain "
    "unchanged.'",
    "B6": "langgraph 1.2.24, `langgraph.graph.message.add_messages`: a message 'will replace' the "
    "one with 'the same ID'. langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._generate_with_cache`: a message without an id "
    "gets the run's.",
    "B7": "OpenAI's API reference (openai 3.57.0, `ChatCompletionMessage`): `content` may be "
    "null. langchain-core 1.8.3, `langchain_core.messages.AIMessage`: content is a str or a list, "
    "and None a ValidationError.",
    "B8": "langchain-core 1.8.3, `langchain_core.messages.convert_to_messages`: of the role "
    "'developer' it makes a SystemMessage with `additional_kwargs['__openai_role__']`, the only "
    "place where the role is kept.",
    "B9": "langchain-core 1.8.3, `langchain_core.messages.BaseMessage.is_lc_serializable`: "
    "'`BaseMessage` is serializable.' Core itself dumps the messages of a call, answers among "
    "them, for the cache's key (`BaseChatModel._generate_with_cache`).",
    "B10": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.batch`: 'Whether to return "
    "exceptions instead of raising them', and `max_concurrency` 'for controlling how much work to "
    "do in parallel'. LangChain's docs, Models, Batch: only of `batch_as_completed`, 'results may "
    "arrive out of order'.",
    "B11": "LangChain's docs, Models, Invoke: 'Each message has a role that models use to "
    "indicate who sent the message'. langchain-core 1.8.3, "
    "`langchain_core.messages.SystemMessage`: 'Message for priming AI behavior.' "
    "`langchain_core.messages.ToolMessage`: 'Message for passing the result of executing a tool "
    "back to a model.'",
    # Streaming
    "S1": "LangChain's docs, Models, Stream: 'returns multiple `AIMessageChunk` objects, each "
    "containing a portion of the output text'. langchain-tests 1.1.9, `test_stream` and "
    "`test_astream`: each part is an AIMessageChunk.",
    "S2": "LangChain's docs, Models, Stream: the sum of the chunks 'can be treated the same as a "
    "message that was generated with `invoke()`'; Auto-streaming: 'The result of the invocation "
    "will be the same', whether core streams behind it or not.",
    "S3": "langchain-tests 1.1.9, `test_stream` (docstring, of what `_stream` yields): 'The final "
    "chunk must have `chunk_position='last'` to signal stream completion.'",
    "S4": "LangGraph's SDK (langchain-ai/langgraphjs, libs/sdk/src/ui/messages.ts), "
    "`MessageTupleManager.add`: what streams in `messages` mode is added up by its id, so that "
    "each id is a message of its own, and without an id it is left out.",
    "S5": "langchain-core 1.8.3, `langchain_core.messages.merge_content`: a str and a list add up "
    "to a list of both, so that the text falls into several blocks; langchain-tests 1.1.9, "
    "`test_stream`: 'Exactly one text block'. Core's own last chunk takes after the one before it.",
    "S6": "LangChain's docs, How to create a custom chat model class: its `_stream` sends "
    "`response_metadata` with the last chunk. langchain-tests 1.1.9, "
    "`test_usage_metadata_streaming`: the sum of the chunks has `model_name` in "
    "`response_metadata`.",
    "S7": "langchain-core 1.8.3, `langchain_core.utils._merge.merge_dicts`: texts of one key are "
    "joined, but for id, output_version and model_provider that are equal. langchain-tests 1.1.9, "
    "`test_usage_metadata_streaming`, of model_name: 'if multiple do, they'll be concatenated "
    "incorrectly'.",
    "S8": "langchain-core 1.8.3, `langchain_core.utils._merge.merge_dicts`: ints of one key that "
    "differ are summed, but for index, created and timestamp; floats and bools that differ raise "
    "TypeError.",
    "S9": "langchain-core 1.8.3, `langchain_core.runnables.Runnable` (docstring): `stream` and "
    "`astream` stream the output 'as it's produced'. LangChain's docs, Models, Stream: 'yields "
    "output chunks as they are produced'.",
    "S10": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel._should_stream`: "
    "a call's `stream=True` asks `invoke` to stream; core hands it on to `_stream` with the "
    "call's other parameters.",
    "S11": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._streaming_disabled`: both 'override any "
    "affirmative trigger'; the field `disable_streaming`: `stream` will 'defer to' `invoke`. "
    "`langchain_core.callbacks.BaseCallbackHandler.on_llm_new_token`: 'Only available when "
    "streaming is enabled.'",
    "S12": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.stream` and "
    "`astream`: where `_stream` yields no chunk, they raise ValueError('No generation chunks were "
    "returned').",
    "S13": "langchain-tests 1.1.9, `test_stream` and `test_astream`, with `output_version='v1'`: "
    "'Exactly one text block', as more are 'merge bugs'.",
    "S15": "",
    "S16": "WHATWG HTML, 9.2.6: lines end by CRLF, LF or CR, those that begin with a colon are "
    "ignored, and one space after the colon is taken away. OpenAI's API reference, "
    "`stream_options.include_usage`: a last chunk has no choices, all others a usage that is null.",
    # Async
    "A1": "Python's docs, Developing with asyncio: 'Blocking (CPU-bound) code should not be "
    "called directly', as all other tasks are delayed. LangChain's docs, How to create a custom "
    "chat model class, checklist: 'native async' `_agenerate` and `_astream`, 'to reduce the "
    "overhead'.",
    "A2": "langchain-core 1.8.3, `langchain_core.runnables.Runnable` (docstring): methods with "
    "'a' in front are the async ones of the others: 'By default, they execute the sync "
    "counterpart'. `langchain_core.language_models.BaseChatModel` (docstring), `_astream`: 'async "
    "version of `_stream`'.",
    "A3": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.abatch`: 'Default "
    "implementation runs `ainvoke` in parallel using `asyncio.gather`.'",
    "A4": "langchain-tests 1.1.9, `test_stream_events_v3` and `test_astream_events_v3`: v3 gives "
    "events and a message that has a text.",
    "A5": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.batch`: 'Default "
    "implementation runs invoke in parallel using a thread pool executor', all on one instance. "
    "langchain-ai/langchain#35783: that a client of one loop fails in the next is labelled a bug.",
    # Stop
    "P1": "LangChain's docs, How to create a custom chat model class, checklist: 'Stop token "
    "should be respected', 'Stop token should be INCLUDED as part of the response'; `_generate` "
    "(docstring): 'This is not enforced across models right now'.",
    "P2": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.generate` "
    "(docstring): 'Model output is cut off at the first occurrence of any of these substrings.'",
    "P3": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.generate` "
    "(docstring): 'Model output is cut off at the first occurrence of any of these substrings.' "
    "LangChain's docs, How to create a custom chat model class, ask the same of `_stream`.",
    "P4": "langchain-tests 1.1.9, `test_stop_sequence`: `stop` is 'a standard parameter for "
    "stopping generation at a certain token', of calls and of the constructor. langchain-openai "
    "1.7.4, `BaseChatOpenAI._get_request_payload`: a call's goes over the model's own.",
    "P5": "langchain-tests 1.1.9, `ChatModelTests.standard_chat_model_params`: each model is made "
    "with `stop=[]`, and has to answer with a text (`test_invoke`).",
    "P6": "LangChain's docs, How to create a custom chat model class: `_generate` and `_stream` "
    "have the same docstring for `stop`; Models, Auto-streaming: 'The result of the invocation "
    "will be the same', whether core streams behind it or not.",
    "P7": "",
    # Callbacks and events
    "C1": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.generate` and "
    "`stream`: core calls `on_llm_end` or `on_llm_error` once. "
    "`langchain_core.tracers.base.BaseTracer`: a run that ended is forgotten, so that a second "
    "end is a TracerException('No indexed run ID').",
    "C2": "LangChain's docs, How to create a custom chat model class: its `_stream` calls "
    "`run_manager.on_llm_new_token(token, chunk=chunk)` for each chunk. langgraph 1.2.24, "
    "`langgraph.pregel._messages.StreamMessagesHandler.on_llm_new_token`: where `chunk` is no "
    "ChatGenerationChunk, it is left out.",
    "C3": "langchain-core 1.8.3, `langchain_core.callbacks.BaseCallbackHandler.on_llm_new_token`: "
    "'Only available when streaming is enabled.' "
    "`langchain_core.language_models.BaseChatModel._should_stream` says when that is so behind "
    "`invoke`.",
    "C4": "LangChain's docs, How to create a custom chat model class: the events that "
    "`astream_events(version='v1')` of its model gives, one `on_chat_model_start`, an "
    "`on_chat_model_stream` for each chunk, one `on_chat_model_end` with the whole.",
    "C5": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.astream_events` (docstring): "
    "the table of events, `on_chat_model_start`, `_stream` and `_end`; `parent_ids`: 'The IDs of "
    "the parent runnables that generated the event.'",
    "C6": "LangChain's docs, Models, Auto-streaming: under `invoke()`, 'LangChain will "
    "automatically switch to an internal streaming mode if it detects that you are trying to "
    "stream the overall application'.",
    "C7": "langchain-tests 1.1.9, "
    "`langchain_tests.utils.stream_lifecycle.assert_valid_event_stream`, which "
    "`test_stream_events_v3` and `test_astream_events_v3` call; they also assert that the "
    "message's `output_version` is v1.",
    "C8": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._generate_with_cache`: where a handler wants "
    "v3's events, as LangGraph's does, `invoke` returns the message that they make. LangChain's "
    "docs, Models, Auto-streaming: 'The result of the invocation will be the same'.",
    "C9": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.stream` gives "
    "`on_llm_end` the sum of the chunks that it yielded, and `generate` the result that it "
    "returns: where they differ, something was changed behind core's back.",
    "C10": "langgraph 1.2.24, `langgraph.pregel._messages.StreamMessagesHandler`: a message whose "
    "id was seen is not told again; `langgraph.constants.TAG_NOSTREAM`: 'Tag to disable streaming "
    "for a chat model.'",
    "C11": "langgraph 1.2.24, `langgraph.stream.transformers.MessagesTransformer` (docstring): "
    "'The messages projection yields one `ChatModelStream` (or `AsyncChatModelStream`) per LLM "
    "call.'",
    # Usage
    "U1": "langchain-tests 1.1.9, `test_usage_metadata` and `test_usage_metadata_streaming`: 'By "
    "default, this test is run.' The three counts are ints, of `invoke` and of `stream`, which "
    "are called as they are. langchain-ai/langchain-aws#916: on Anthropic's wire, servers may tell "
    "the prompt's count in `message_start` alone.",
    "U2": "langchain-core 1.8.3, `langchain_core.messages.ai.UsageMetadata`, `total_tokens`: "
    "'Total token count. Sum of `input_tokens` + `output_tokens`.'",
    "U3": "langchain-tests 1.1.9, `test_usage_metadata_streaming`: 'Only one chunk should set "
    "input_tokens, the rest should be 0 or None' (output_tokens may come in parts). "
    "`langchain_core.messages.ai.add_usage` sums the counts of chunks.",
    "U4": "langchain-core 1.8.3, `langchain_core.messages.ai.UsageMetadata`, `input_tokens`: 'Sum "
    "of all input token types.' langchain-tests 1.1.9, `test_usage_metadata`: 'total input tokens "
    "are at least the sum of the token counts', likewise of output.",
    "U5": "langchain-core 1.8.3, `langchain_core.callbacks.UsageMetadataCallbackHandler`: it "
    "counts by `response_metadata['model_name']`, and nothing without it. langchain-tests 1.1.9, "
    "`test_usage_metadata`: it has to be there, 'Needed for langchain_core.callbacks.usage'.",
    "U6": "",
    # Tools
    "T1": "langchain-tests 1.1.9, `test_bind_tool_pydantic`: tools, functions, pydantic classes "
    "and JSON schemas are taken, and a RunnableBinding comes back; "
    "`test_bind_runnables_as_tools`. langchain-core 1.8.3, "
    "`langchain_core.utils.function_calling.convert_to_openai_function`: TypedDicts too.",
    "T2": "LangChain's docs, Models, Forcing tool calls: `tool_choice='any'`, or a tool's name. "
    "langchain-tests 1.1.9, `test_tool_choice`: both give a call, of the tool that is named. "
    "OpenAI's API reference, `tool_choice`: `none`, `auto` and `required`. (Core's `bind_tools` "
    "names no other type than str.)",
    "T3": "langchain 1.5.2, `langchain.agents.create_agent`: where the profile says "
    "`structured_output`, it calls `bind_tools(final_tools, response_format=…)`, of an agent "
    "without tools with an empty list.",
    "T4": "LangChain's docs, Models, Server-side tool use: `model.bind_tools([{'type': "
    "'web_search'}])`. langchain-core 1.8.3, "
    "`langchain_core.utils.function_calling.convert_to_openai_tool`: 'Return OpenAI Responses "
    "API-style tools unchanged.'",
    "T5": "langchain-core 1.8.3, `langchain_core.messages.ToolCall`, `id`: 'needed to associate a "
    "tool call request with a tool call result in events when multiple concurrent tool calls are "
    "made'. langchain-tests 1.1.9, `test_tool_calling`: it is not None.",
    "T6": "langchain-core 1.8.3, `langchain_core.messages.AIMessage`, `invalid_tool_calls`: 'tool "
    "calls with parsing errors associated with the message'. "
    "`langchain_core.messages.tool.default_tool_parser`: what `json.loads` refuses goes there, "
    "with its text as `args`.",
    "T7": "langchain-core 1.8.3, `langchain_core.messages.tool.default_tool_parser`, of whole "
    "answers, and `langchain_core.language_models._compat_bridge.finalize_tool_call_chunk`, of "
    "v3's: what `json.loads` refuses is an invalid call. (Core's sum of chunks completes such "
    "arguments: `init_tool_calls`.)",
    "T8": "langchain-tests 1.1.9, `test_tool_calling_with_no_arguments`: one call, whose `args` "
    "are `{}`, by `invoke` and by `stream`.",
    "T9": "langchain-tests 1.1.9, `test_unicode_tool_call_integration`: 'Unicode characters in "
    "tool call arguments are preserved correctly, not escaped'.",
    "T10": "langchain-core 1.8.3, `langchain_core.messages.ToolCallChunk` (docstring): 'Chunks "
    "are only merged if their values of `index` are equal and not `None`.'",
    "T11": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.stream`: under v1 "
    "the text gets the index 0; `langchain_core.utils._merge.merge_lists`: blocks of one index "
    "are one block, so that the block of a call with the index 0 is lost in the text's.",
    "T12": "langchain-core 1.8.3, `langchain_core.messages.ToolMessage`, `artifact`: 'not meant "
    "to be sent to the model'. langchain-tests 1.1.9, `test_tool_message_error_status`: the "
    "status is 'either ignored or passed to the model appropriately'.",
    "T13": "langchain-tests 1.1.9, `test_tool_message_histories_list_content` and "
    "`test_anthropic_inputs`: messages with a `tool_use` block beside `tool_calls` are taken.",
    "T14": "LangChain's docs, Models, Parallel tool calls: `bind_tools([…], "
    "parallel_tool_calls=False)`. langchain-core 1.8.3, "
    "`langchain_core.utils.function_calling.convert_to_openai_tool`, `strict`: 'model output is "
    "guaranteed to exactly match the JSON Schema'. (langchain's agents bind it for OpenAI.)",
    # Structured output
    "O1": "langchain-tests 1.1.9, `test_structured_output`, `test_structured_output_async` and "
    "`test_structured_output_pydantic_2_v1`: of a class come instances, of TypedDicts and JSON "
    "schemas dicts, by `invoke` and by `stream`.",
    "O2": "langchain-tests 1.1.9, `test_with_structured_output`: each of three methods, `strict` "
    "None, and but for json_mode False and True. langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel.with_structured_output`: 'ValueError: If there "
    "are any unsupported `kwargs`.'",
    "O3": "langchain-tests 1.1.9, `test_structured_output`: `ls_structured_output_format` has the "
    "schema in `options` of `on_chat_model_start`. langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._chat_model_stream_v3`: 'Provider clients "
    "reject unknown kwargs'.",
    "O4": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel.with_structured_output`, `include_raw`: 'If an "
    "error occurs during output parsing it will be caught and returned as well.'",
    "O5": "langchain-core 1.8.3, `langchain_core.output_parsers.JsonOutputParser`: partial "
    "objects hold 'all the keys that have been returned so far'. langchain-tests 1.1.9, "
    "`test_json_mode` and `test_structured_output_pydantic_2_v1`: the last one has all the keys.",
    "O6": "langchain 1.5.2, `langchain.agents.structured_output.ProviderStrategyBinding.parse`: "
    "it gives the text to `json.loads`; else 'Native structured output expected valid JSON'.",
    # Content
    "M1": "langchain-core 1.8.3, `langchain_core.messages.AIMessage.content_blocks`: 'Insert "
    "before all other blocks to keep reasoning at the start'; "
    "`langchain_core.messages.BaseMessage.text` 'Only extracts blocks with `type: 'text'`'. "
    "LangChain's docs, Models, Reasoning.",
    "M2": "langchain-core 1.8.3, `langchain_core.messages.TextContentBlock` and others, `index`: "
    "'Index of block in aggregate response. Used during streaming.' "
    "`langchain_core.utils._merge.merge_lists`: blocks without one are not merged, those of one "
    "index are.",
    "M3": "langchain 1.5.2, `langchain.agents.middleware.SummarizationMiddleware`: it trusts the "
    "usage of an answer only where `model_provider` matches `ls_provider` of `_get_ls_params`, "
    "and knows the exceptions of three providers by name.",
    "M4": "LangChain's docs, Models, Multimodal: 'All LangChain chat models with underlying "
    "multimodal capabilities support' the standard format and 'OpenAI chat completions format'. "
    "langchain-tests 1.1.9, `test_image_inputs`, `test_audio_inputs` and `test_pdf_inputs`.",
    "M5": "LangChain's docs, Models, Stream: an answer 'can be aggregated into a message history "
    "and passed back to the model as conversational context'. langchain-tests 1.1.9, "
    "`test_agent_loop`, with v1 too.",
    "M8": "langchain-core 1.8.3, `RefusalContentBlock`: 'so callers can detect a refusal without "
    "provider-specific code'; structured output raises ModelRefusalError for it. OpenAI's API "
    "reference, `refusal`: 'The refusal message generated by the model.'",
    # Serialization and secrets
    "K1": "LangChain's docs, How to create a custom chat model class, checklist: 'Use Pydantic's "
    "`SecretStr` type for secrets, so they don't get accidentally printed out'. langchain-core "
    "1.8.3, `langchain_core.load.serializable.to_json_not_implemented`: callbacks are given the "
    "model's `repr`.",
    "K2": "langchain-tests 1.1.9, `test_init_from_env`, where `init_from_env_params` is given. "
    "LangChain's docs, Models, Parameters, `api_key`: 'Often accessed by setting an environment "
    "variable.'",
    "K3": "langchain-tests 1.1.9, `test_serdes`, where `is_lc_serializable()` is True: what "
    "`load(dumpd(model))` gives equals the model.",
    "K4": "Python's docs, `copy`: 'A deep copy constructs a new compound object and then, "
    "recursively, inserts copies into it of the objects found in the original.' `pickle`: "
    "'unpickling' is the inverse operation of 'pickling'.",
    # Parameters, tracing, configuration
    "R1": "langchain-tests 1.1.9, `test_standard_params` and "
    "`test_standard_params_model_override`. langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._get_ls_params`: subclasses 'should override "
    "this method', and 'honor per-call overrides'.",
    "R2": "langchain-tests 1.1.9, `test_invoke_with_model_override`: 'kwargs should come last to "
    "allow overrides'. LangChain's docs, Models, Reasoning: 'Like `temperature`, it can be set at "
    "model construction or per invocation'.",
    "R3": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseLanguageModel.model_post_init`: partner packages 'should "
    "define' a validator 'that calls `_add_version` to append their own version'.",
    "R4": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._check_profile_keys`: 'Warn on unrecognized "
    "profile keys.' `_set_model_profile`: 'if not provided'. LangChain's docs, Models, Model "
    "profiles: 'You can instantiate a chat model with any valid profile'.",
    "R5": "langchain-core 1.8.3, "
    "`langchain_core.runnables.RunnableSerializable.configurable_fields`: 'A new `Runnable` with "
    "the fields configured.' `langchain_core.runnables.configurable.RunnableConfigurableFields`: "
    "it calls the class with the fields by their own names.",
    "R6": "langchain-core 1.8.3, `langchain_core.caches.BaseCache.lookup`, `llm_string`: 'used to "
    "capture the invocation parameters of the LLM (e.g., model name, temperature, stop tokens, "
    "max tokens, etc.)'. langchain-ai/langchain#39598: core's own key goes stale.",
    "R7": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseChatModel._generate_with_cache`: core acquires it, "
    "'after checking the cache, since we usually don't want to rate limit cache lookups, but we "
    "do want to rate limit API requests'.",
    "R8": "langchain-core 1.8.3, "
    "`langchain_core.language_models.BaseLanguageModel.get_num_tokens`: 'should be overridden by "
    "model-specific implementations'; the default loads GPT-2's tokenizer from Hugging Face, or "
    "raises ImportError.",
    # Errors, cancellation, concurrency
    "E1": "langchain-core 1.8.3, `langchain_core.exceptions.ModelError` (docstring): 'the same "
    "condition maps to the same exception type regardless of provider'; 'Provider integrations "
    "raise' its subclasses, each of which names its HTTP status. OpenAI's API reference, "
    "Responses: `status` may be `failed`, and `error` says why.",
    "E2": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.stream`: what "
    "`_stream` raises goes to `on_llm_error`, with the sum of the chunks before it in `response`, "
    "and out to the caller.",
    "E3": "langchain-core 1.8.3, `langchain_core.runnables.RunnableWithFallbacks.stream`: the "
    "next runnable is tried where the first chunk fails; behind it, the error is raised.",
    "E4": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.stream`: closing "
    "it ends the run by `on_llm_error`. Python's docs, asyncio, Task cancellation: 'use "
    "`try/finally` blocks to robustly perform clean-up logic'; CancelledError 'should generally "
    "be propagated'.",
    "E5": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.batch`, 'Default "
    "implementation runs invoke in parallel using a thread pool executor', and `abatch`, by "
    "`asyncio.gather`: all on one instance, and each answer for its own input.",
    "E6": "LangChain's docs, Models, Parameters, `max_retries`: 'Client errors such as 401 "
    "(unauthorized) or 404 are not retried.' RFC 9110, 15.5.4, of 403: 'SHOULD NOT automatically "
    "repeat the request with the same credentials'. OpenAI's client: 408, 409, 429 and 5xx only.",
    "E7": "Anthropic's docs, Using the Messages API: 'The Messages API is stateless, which means "
    "that you always send the full conversational history to the API.' LangChain's docs, Models, "
    "Invoke: a list of messages represents the conversation's history. OpenAI's API reference, "
    "`previous_response_id`: it goes on with that conversation.",
}
"""Where each rule of ours is laid down, and what is said there; empty where it is our own view."""
