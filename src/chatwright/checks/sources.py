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
    "`langchain_core.language_models.BaseChatModel.generate`: a message without an id gets the "
    "run's.",
    "B7": "OpenAI's API reference (openai 3.57.0, `ChatCompletionMessage`): `content` may be null. "
    "langchain-core 1.8.3, `langchain_core.messages.AIMessage`: content is a str or a list, and "
    "None a ValidationError.",
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
    "B11": "LangChain's docs, Models, Invoke: 'Each message has a role that models use to indicate "
    "who sent the message'. langchain-core 1.8.3, `langchain_core.messages.SystemMessage`: "
    "'Message for priming AI behavior.' `langchain_core.messages.ToolMessage`: 'Message for "
    "passing the result of executing a tool back to a model.'",
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
    "S10": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel._should_stream`: a "
    "call's `stream=True` asks `invoke` to stream; core hands it on to `_stream` with the call's "
    "other parameters.",
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
    "A1": "Python's docs, Developing with asyncio: 'Blocking (CPU-bound) code should not be called "
    "directly', as all other tasks are delayed. LangChain's docs, How to create a custom chat "
    "model class, checklist: 'native async' `_agenerate` and `_astream`, 'to reduce the overhead'.",
    "A2": "langchain-core 1.8.3, `langchain_core.runnables.Runnable` (docstring): methods with 'a' "
    "in front are the async ones of the others: 'By default, they execute the sync counterpart'. "
    "`langchain_core.language_models.BaseChatModel` (docstring), `_astream`: 'async version of "
    "`_stream`'.",
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
    "`langchain_core.tracers.base.BaseTracer`: a run that ended is forgotten, so that a second end "
    "is a TracerException('No indexed run ID').",
    "C2": "LangChain's docs, How to create a custom chat model class: its `_stream` calls "
    "`run_manager.on_llm_new_token(token, chunk=chunk)` for each chunk. langgraph 1.2.24, "
    "`langgraph.pregel._messages.StreamMessagesHandler.on_llm_new_token`: where `chunk` is no "
    "ChatGenerationChunk, it is left out.",
    "C3": "langchain-core 1.8.3, "
    "`langchain_core.callbacks.BaseCallbackHandler.on_llm_new_token`: 'Only available when "
    "streaming is enabled.' `langchain_core.language_models.BaseChatModel._should_stream` says "
    "when that is so behind `invoke`.",
    "C4": "LangChain's docs, How to create a custom chat model class: the events that "
    '`astream_events(version="v1")` of its model gives, one `on_chat_model_start`, an '
    "`on_chat_model_stream` for each chunk, one `on_chat_model_end` with the whole.",
    "C5": "langchain-core 1.8.3, `langchain_core.runnables.Runnable.astream_events` (docstring): "
    "the table of events, `on_chat_model_start`, `_stream` and `_end`; `parent_ids`: 'The IDs of "
    "the parent runnables that generated the event.'",
    "C6": "LangChain's docs, Models, Auto-streaming: 'When you `invoke()` a chat model, LangChain "
    "will automatically switch to an internal streaming mode if it detects that you are trying to "
    "stream the overall application.'",
    "C7": "langchain-tests 1.1.9, "
    "`langchain_tests.utils.stream_lifecycle.assert_valid_event_stream`, which "
    '`test_stream_events_v3` calls; the latter: \'`stream_events(version="v3")` always assembles '
    "content as v1 protocol blocks.'",
    "C8": "langchain-core 1.8.3, `langchain_core.language_models.BaseChatModel.generate`: where a "
    "handler wants v3's events, as LangGraph's does, `invoke` returns the message that they make. "
    "LangChain's docs, Models, Auto-streaming: 'The result of the invocation will be the same'.",
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
    "default, this test is run.' The three counts are ints, of `invoke` and of `stream`, which are "
    "called as they are.",
    "U2": "langchain-core 1.8.3, `langchain_core.messages.ai.UsageMetadata`, `total_tokens`: 'Total "
    "token count. Sum of `input_tokens` + `output_tokens`.'",
    "U3": "langchain-tests 1.1.9, `test_usage_metadata_streaming`: 'Only one chunk should set "
    "input_tokens, the rest should be 0 or None' (output_tokens may come in parts). "
    "`langchain_core.messages.ai.add_usage` sums the counts of chunks.",
    "U4": "langchain-core 1.8.3, `langchain_core.messages.ai.UsageMetadata`, `input_tokens`: 'Sum "
    "of all input token types.' langchain-tests 1.1.9, `test_usage_metadata`: 'total input tokens "
    "are at least the sum of the token counts', likewise of output.",
    "U5": "langchain-core 1.8.3, `langchain_core.callbacks.UsageMetadataCallbackHandler`: it counts "
    "by `response_metadata['model_name']`, and nothing without it. langchain-tests 1.1.9, "
    "`test_usage_metadata`: it has to be there, 'Needed for langchain_core.callbacks.usage'.",
    "U6": "",
}
"""Where each rule of ours is laid down, and what is said there; empty where it is our own view."""
