"""N1 to N3: a model, chain or graph that is called inside a model."""

import asyncio
import threading
from collections import Counter

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer
from langgraph.graph import END, START, MessagesState, StateGraph

from chatwright import CostCallbackHandler, Reasoning, Usage, chat_model
from contract.subjects import MODES, total
from wrap.runnable.inner import Native, Plain, Streaming

USAGE = {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}


def returns(inner):
    @chat_model
    def source(messages):
        return inner.invoke(messages)

    return source


def yields(inner):
    @chat_model
    def source(messages):
        yield from inner.stream(messages)

    return source


def coroutine(inner):
    @chat_model
    async def source(messages):
        return await inner.ainvoke(messages)

    return source


def async_generator(inner):
    @chat_model
    async def source(messages):
        async for chunk in inner.astream(messages):
            yield chunk

    return source


def through_a_thread(inner):
    @chat_model
    async def source(messages):
        return await asyncio.to_thread(inner.invoke, messages)

    return source


def through_a_task(inner):
    @chat_model
    async def source(messages):
        return await asyncio.create_task(inner.ainvoke(messages))

    return source


def by_config(inner):
    @chat_model
    def source(messages, config):
        found = []
        thread = threading.Thread(target=lambda: found.append(inner.invoke(messages, config)))
        thread.start()
        thread.join()
        return found[0]

    return source


KINDS = {
    each.__name__: each
    for each in (returns, yields, coroutine, async_generator, through_a_thread, through_a_task)
} | {"by_config": by_config, "chat_model": chat_model}


@pytest.fixture(params=KINDS)
def model(request):
    return KINDS[request.param](Native())


class Runs(BaseCallbackHandler):
    """Writes down which runs there were, whose children, and what was said of them."""

    def __init__(self):
        self.runs = []
        self.tokens = Counter()
        self.ended = []
        self.spent = 0

    def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id=None, **told):
        self.runs.append((run_id, parent_run_id, told["tags"], told["metadata"]))

    def on_llm_new_token(self, token, *, run_id, **told):
        self.tokens[run_id] += 1

    def on_llm_end(self, response, *, run_id, **told):
        self.ended.append(run_id)
        self.spent += (response.generations[0][0].message.usage_metadata or {}).get(
            "total_tokens", 0
        )


@pytest.mark.parametrize("way", MODES)
async def test_N1_an_inner_run_is_a_child_in_every_mode(model, way):
    heard = Runs()
    config = {"callbacks": [heard], "tags": ["mine"], "metadata": {"k": "v"}}
    await MODES[way](model, "x", config)
    (outer, _, *_), (inner, parent, tags, metadata) = heard.runs
    assert parent == outer
    assert "mine" in tags
    assert metadata["k"] == "v"
    assert heard.ended == [inner, outer]


@pytest.mark.parametrize("way", MODES)
async def test_N1_configurable_reaches_what_is_called_inside(way):
    seen = []
    inner = RunnableLambda(lambda x, config: seen.append(config["configurable"]) or "hi")

    @chat_model
    def source(messages):
        return inner.invoke(messages)

    await MODES[way](source, "x", {"configurable": {"user": "me"}})
    assert seen[0]["user"] == "me"


class Tracer(BaseTracer):
    def __init__(self):
        super().__init__()
        self.roots = []

    def _persist_run(self, run):
        self.roots.append(run)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "v3", "async_v3"])
async def test_N1_a_tracer_sees_one_tree(model, way):
    tracer = Tracer()
    await MODES[way](model, "x", {"callbacks": [tracer]})
    (root,) = tracer.roots
    (child,) = root.child_runs
    assert child.run_type in {"llm", "chat_model"}


def test_N1_what_runs_between_two_chunks_is_no_child(model):
    heard, seen = Runs(), []
    outside = RunnableLambda(lambda x, config: seen.append(config) or x)
    for _ in model.stream("x", {"callbacks": [heard], "tags": ["mine"]}):
        outside.invoke("y")
    assert seen
    assert not any(each.get("tags") for each in seen)


async def test_N1_async_code_between_two_chunks_is_no_child(model):
    seen = []
    outside = RunnableLambda(lambda x, config: seen.append(config) or x)
    async for _ in model.astream("x", {"tags": ["mine"]}):
        await outside.ainvoke("y")
    assert seen
    assert not any(each.get("tags") for each in seen)


# N2.


def graph_of(model):
    def node(state):
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph.compile()


def test_N2_in_langgraphs_messages_each_token_appears_once(model):
    shown = graph_of(model).stream({"messages": "x"}, stream_mode="messages")
    chunks = [chunk for chunk, _ in shown]
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(chunk.text for chunk in chunks) == "one two three"


async def test_N2_in_events_each_token_appears_once(model):
    events = [each async for each in graph_of(model).astream_events({"messages": "x"})]
    text = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(text) == "one two three"
    (outer, inner) = [e for e in events if e["event"] == "on_chat_model_start"]
    assert inner["parent_ids"][-1] == outer["run_id"]


@pytest.mark.parametrize("way", ["stream", "astream", "events_v2"])
async def test_N2_a_handler_hears_each_token_once(model, way):
    heard = Runs()
    await MODES[way](model, "x", {"callbacks": [heard]})
    assert set(heard.tokens) == {heard.runs[0][0]}


async def test_N2_an_async_handler_hears_each_token_once(model):
    class Heard(AsyncCallbackHandler):
        tokens = []

        async def on_llm_new_token(self, token, **told):
            self.tokens.append(token)

    async for _ in model.astream("x", {"callbacks": [Heard()]}):
        pass
    assert "".join(Heard.tokens) == "one two three"


def test_N2_an_inner_graphs_own_stream_is_heard():
    inner = graph_of(Native())

    @chat_model
    def source(messages):
        for chunk, _ in inner.stream({"messages": messages}, stream_mode="messages"):
            yield chunk.text.upper()

    shown = graph_of(source).stream({"messages": "x"}, stream_mode="messages")
    assert "".join(chunk.text for chunk, _ in shown) == "ONE TWO THREE"


@pytest.mark.parametrize("handler", [UsageMetadataCallbackHandler, CostCallbackHandler])
@pytest.mark.parametrize("way", ["invoke", "astream", "v3"])
async def test_N2_usage_is_summed_once(model, way, handler):
    sums, own = handler(), Runs()
    await MODES[way](model, "x", {"callbacks": [sums, own]})
    assert own.spent == 6
    (spent,) = sums.usage_metadata.values()
    assert spent["total_tokens"] == 6


def test_N2_usage_of_a_context_is_summed_once(model):
    with get_usage_metadata_callback() as sums:
        graph_of(model).invoke({"messages": "x"})
    (spent,) = sums.usage_metadata.values()
    assert spent["total_tokens"] == 6


# N3.


@pytest.mark.parametrize("way", MODES)
async def test_N3_usage_and_metadata_of_an_inner_message_come_through(model, way):
    answer = await MODES[way](model, "x")
    assert answer.text == "one two three"
    assert answer.usage_metadata == USAGE
    told = answer.response_metadata
    assert (told["model_name"], told["note"]) == ("plain-1-2026", "x")
    assert (told["finish_reason"], told["normalized_finish_reason"]) == ("stop", "stop")


def test_N3_a_source_without_usage_has_what_the_models_inside_spent():
    @chat_model
    def twice(messages):
        yield Plain().invoke(messages).text
        yield Plain().invoke(messages).text

    answer = twice.invoke("x")
    assert answer.usage_metadata["total_tokens"] == 12
    assert answer.response_metadata["model_name"] == "plain-1-2026"


def test_N3_a_sources_own_usage_counts_and_not_what_it_called():
    @chat_model
    def source(messages):
        yield Plain().invoke(messages).text
        yield Usage(1, 1)

    assert source.invoke("x").usage_metadata["total_tokens"] == 2


CALL = {"name": "f", "args": {"a": 1}, "id": "call-7", "type": "tool_call"}
WHOLE = {
    "a message": lambda: [AIMessage("hi", tool_calls=[CALL])],
    "a result": lambda: [
        ChatResult(generations=[ChatGeneration(message=AIMessage("hi", tool_calls=[CALL]))])
    ],
    "chunks": lambda: [
        AIMessageChunk("h"),
        AIMessageChunk("i"),
        AIMessageChunk(
            "", tool_call_chunks=[{"name": "f", "args": '{"a"', "id": "call-7", "index": 0}]
        ),
        AIMessageChunk(
            "", tool_call_chunks=[{"name": None, "args": ": 1}", "id": None, "index": 0}]
        ),
    ],
    "generation chunks": lambda: [
        ChatGenerationChunk(message=AIMessageChunk("h")),
        ChatGenerationChunk(message=AIMessageChunk("i")),
        ChatGenerationChunk(
            message=AIMessageChunk(
                "",
                tool_call_chunks=[{"name": "f", "args": '{"a": 1}', "id": "call-7", "index": 0}],
            )
        ),
    ],
}


@pytest.mark.parametrize("items", WHOLE)
@pytest.mark.parametrize("way", MODES)
async def test_N3_an_old_models_items_are_taken_as_they_are(way, items):
    @chat_model
    def source(messages, tools):
        yield from WHOLE[items]()

    answer = await MODES[way](source, "x")
    assert answer.text == "hi"
    assert answer.tool_calls == [CALL]
    assert answer.response_metadata["finish_reason"] == "tool_calls"


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s1"}
CITED = {"type": "text", "text": "hi", "annotations": [{"type": "citation", "url": "http://a"}]}
IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


@pytest.mark.parametrize("way", MODES)
async def test_N3_blocks_of_a_providers_own_form_are_kept(way):
    content = [THOUGHT, {"type": "text", "text": "hi"}]
    answered = AIMessage(content, response_metadata={"model_provider": "anthropic"})
    source = chat_model(lambda messages: answered)
    answer = await MODES[way](source, "x")
    assert answer.text == "hi"
    kept = answer.additional_kwargs["source_message"]
    assert kept["content"] == content
    assert kept["response_metadata"] == {"model_provider": "anthropic"}
    assert [each["reasoning"] for each in answer.content_blocks if each["type"] == "reasoning"] == [
        "hm"
    ]


@pytest.mark.parametrize("way", MODES)
@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_N3_images_and_citations_are_kept(way, version):
    answered = AIMessage([CITED, IMAGE], response_metadata={"output_version": "v1"})
    source = chat_model(output_version=version)(lambda messages: answered)
    answer = await MODES[way](source, "x")
    assert answer.text == "hi"
    blocks = {each["type"]: each for each in answer.content_blocks}
    assert blocks["image"]["base64"] == "aGk="
    notes = [n for each in answer.content_blocks for n in each.get("annotations", ())]
    assert notes == CITED["annotations"]


def test_N3_reasoning_of_an_inner_message_is_reasoning():
    for thinking in (
        AIMessage("hi", additional_kwargs={"reasoning_content": "hm"}),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "hi"}]),
    ):
        answer = chat_model(lambda messages, t=thinking: t).invoke("x")
        assert (answer.text, answer.additional_kwargs["reasoning_content"]) == ("hi", "hm")


def test_N3_two_messages_of_one_answer_do_not_run_into_each_other():
    def source(messages):
        yield from Streaming().stream(messages)
        yield Reasoning("and again")
        yield from Streaming().stream(messages)

    answer = total(list(chat_model(source).stream("x")))
    assert answer.text == "one two threeone two three"
    assert answer.usage_metadata["total_tokens"] == 12
    assert answer.response_metadata["model_name"] == "plain-1-2026"


def test_N3_a_message_that_is_no_answer_is_refused():
    with pytest.raises(TypeError, match="gave HumanMessage"):
        chat_model(lambda messages: messages[-1]).invoke("x")
