"""A compiled graph inside a chat model."""

import itertools
import operator
from typing import Annotated, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from chatwright import (
    DefinitionError,
    InterruptedAnswerError,
    ParameterError,
    Usage,
    chat_model,
    load,
)
from contract.subjects import MODES, total


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


@chat_model
def in_house(messages):
    if "Sunny" in messages[-1].text:
        yield "Take "
        yield "sunglasses."
        yield Usage(5, 2)
    else:
        yield "Let me see."
        yield '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
        yield Usage(3, 4)


agent = create_agent(in_house, [weather], name="helper")


@pytest.mark.parametrize("way", MODES)
async def test_an_agent_answers_in_every_mode(way):
    answer = await MODES[way](chat_model(agent), "What do I need?")
    assert answer.text == "Let me see.\n\nTake sunglasses."
    assert answer.tool_calls == []
    assert answer.usage_metadata["total_tokens"] == 14
    assert answer.response_metadata["finish_reason"] == "stop"
    (reasoning,) = [b["reasoning"] for b in answer.content_blocks if b["type"] == "reasoning"]
    assert reasoning == 'weather({"city": "Bern"})\nweather: Sunny in Bern.\n'


def test_its_text_streams_as_it_is_written():
    texts = [each.text for each in chat_model(agent).stream("x") if each.text]
    assert texts == ["Let me see.", "\n\n", "Take ", "sunglasses."]


def test_its_steps_can_be_hidden():
    answer = chat_model(agent, steps="hidden").invoke("x")
    assert "reasoning_content" not in answer.additional_kwargs


def test_a_stop_sequence_ends_it():
    assert chat_model(agent).invoke("x", stop=["see"]).text == "Let me see"


def test_usage_is_summed_once_over_the_agent():
    sums = UsageMetadataCallbackHandler()
    chat_model(agent).invoke("x", {"callbacks": [sums]})
    assert sum(each["total_tokens"] for each in sums.usage_metadata.values()) == 14


def test_it_has_the_graphs_name():
    assert chat_model(agent).model_name == "helper"


def replies(state):
    return {"messages": [AIMessage(f"{len(state['messages'])} messages")]}


def compiled(node, **how):
    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph.compile(**how)


@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_a_message_that_no_model_wrote_is_an_answer(way):
    assert (await MODES[way](chat_model(compiled(replies)), "x")).text == "1 messages"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_thread_comes_by_config_and_is_told_what_is_new(way):
    model = chat_model(compiled(replies, checkpointer=InMemorySaver()))
    thread = {"configurable": {"thread_id": "1"}}
    asked = [HumanMessage("one")]
    first = await MODES[way](model, asked, thread)
    assert first.text == "1 messages"
    asked += [first, HumanMessage("two")]
    assert (await MODES[way](model, asked, thread)).text == "3 messages"


@pytest.mark.parametrize("way", MODES)
async def test_a_message_that_is_written_as_a_pair_is_an_answer(way):
    model = chat_model(compiled(lambda state: {"messages": [("ai", "hi"), ("ai", "there")]}))
    assert (await MODES[way](model, "x")).text == "hi\n\nthere"


def test_without_a_thread_each_call_has_one_of_its_own():
    model = chat_model(compiled(replies, checkpointer=InMemorySaver()))
    assert [model.invoke("x").text for _ in range(2)] == ["1 messages"] * 2


@pytest.mark.parametrize("way", MODES)
async def test_an_interrupt_is_an_error_that_carries_its_value(way):
    def node(state):
        return {"messages": [AIMessage(interrupt({"question": "sure?"}))]}

    graph = compiled(node, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    with pytest.raises(InterruptedAnswerError, match=r"'question': 'sure\?'") as caught:
        await MODES[way](chat_model(graph), "x", thread)
    assert caught.value.value == {"question": "sure?"}
    resumed = await graph.ainvoke(Command(resume="yes"), thread)
    assert resumed["messages"][-1].text == "yes"


async def test_async_nodes_serve_sync_code():
    async def node(state):
        return replies(state)

    model = chat_model(compiled(node))
    assert model.invoke("x").text == "1 messages"
    assert (await model.ainvoke("x")).text == "1 messages"


def test_a_graph_without_messages_is_refused():
    class State(TypedDict):
        steps: Annotated[list[str], operator.add]

    graph = StateGraph(State)
    graph.add_node("node", lambda state: {"steps": ["a"]})
    graph.add_edge(START, "node")
    with pytest.raises(DefinitionError, match="no 'messages'"):
        chat_model(graph.compile())
    with pytest.raises(DefinitionError, match="compile it first"):
        chat_model(graph)


def test_a_parameter_is_refused():
    with pytest.raises(ParameterError, match="temperature"):
        chat_model(agent).invoke("x", temperature=1)


def test_an_error_of_a_node_is_raised():
    def node(state):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        chat_model(compiled(node)).invoke("x")


def test_a_graph_inside_of_a_graph_streams_once():
    outer = compiled(lambda state: {"messages": [chat_model(agent).invoke(state["messages"])]})
    shown = outer.stream({"messages": "x"}, stream_mode="messages")
    assert "".join(each.text for each, _ in shown) == "Let me see.\n\nTake sunglasses."


def test_structured_output_is_asked_of_the_graph():
    def node(state):
        asked = "JSON" in state["messages"][0].text
        return {"messages": [AIMessage('{"a": 3}' if asked else "no")]}

    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    assert chat_model(compiled(node)).with_structured_output(schema).invoke("x") == {"a": 3}


def sequence(*nodes, **how):
    graph = StateGraph(MessagesState)
    names = [f"node{n}" for n in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    for edge in itertools.pairwise([START, *names, END]):
        graph.add_edge(*edge)
    return graph.compile(**how)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_what_a_node_says_to_itself_is_no_answer(way):
    def routes(state):
        in_house.invoke("Sunny")
        return {}

    model = chat_model(sequence(routes, lambda state: {"messages": [AIMessage("plain")]}))
    assert (await MODES[way](model, "x")).text == "plain"


@pytest.mark.parametrize("way", MODES)
async def test_text_that_a_node_copies_is_told_once(way):
    chain = in_house | StrOutputParser()
    model = chat_model(compiled(lambda state: {"messages": [AIMessage(chain.invoke("Sunny"))]}))
    assert (await MODES[way](model, "x")).text == "Take sunglasses."


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_last_state_decides(way):
    def redacts(state):
        return {"messages": [AIMessage("[redacted]", id=state["messages"][-1].id)]}

    def removes(state):
        last = state["messages"][-1]
        return {"messages": [RemoveMessage(last.id), AIMessage("new")]}

    assert (await MODES[way](chat_model(sequence(replies, redacts)), "x")).text == "[redacted]"
    assert (await MODES[way](chat_model(sequence(replies, removes)), "x")).text == "new"


def test_a_thread_is_told_of_instructions_that_it_does_not_know():
    seen = []

    def node(state):
        seen.append([each.text for each in state["messages"]])
        return {"messages": [AIMessage('{"a": 3}')]}

    model = chat_model(compiled(node, checkpointer=InMemorySaver()))
    thread = {"configurable": {"thread_id": "1"}}
    first = model.invoke("one", thread)
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    structured = model.with_structured_output(schema)
    assert structured.invoke([HumanMessage("one"), first, HumanMessage("two")], thread) == {"a": 3}
    assert any("JSON schema" in text for text in seen[1])
    assert seen[1][-1] == "two"


@pytest.mark.parametrize("way", MODES)
async def test_a_tool_that_returns_directly_is_the_answer(way):
    @tool(return_direct=True)
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Sunny in {city}."

    answer = await MODES[way](chat_model(create_agent(in_house, [weather])), "x")
    assert answer.text.endswith("Sunny in Bern.")
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_graph_inside_of_the_graph_streams_as_well():
    model = chat_model(compiled(agent))
    texts = [each.text for each in model.stream("x") if each.text]
    assert texts == ["Let me see.", "\n\n", "Take ", "sunglasses."]


def test_an_interrupt_pauses_the_outer_graph():
    def asks(state):
        return {"messages": [AIMessage(interrupt("sure?"))]}

    inner = chat_model(compiled(asks))
    outer = compiled(
        lambda state: {"messages": [inner.invoke(state["messages"])]}, checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "1"}}
    paused = outer.invoke({"messages": "x"}, thread)
    assert paused["__interrupt__"][0].value == "sure?"
    assert outer.invoke(Command(resume="yes"), thread)["messages"][-1].text == "yes"


def test_load_makes_a_model_of_an_agent():
    model = load(f"{__name__}:agent", steps="hidden")
    assert model.invoke("x").text.endswith("sunglasses.")
    assert load(f"{__name__}:agent", raw=True) is agent


def test_a_node_that_streams_twice_parts_its_messages():
    def node(state):
        asking = in_house.bind_tools([weather])
        return {"messages": [asking.invoke("x"), asking.invoke("Sunny")]}

    answer = total([*chat_model(compiled(node)).stream("x")])
    assert answer.text == "Let me see.\n\nTake sunglasses."
