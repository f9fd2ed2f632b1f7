"""Real use: LangChain's agents and LangGraph over native, text-only and local models."""

import functools
import json

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

from chatwright import ToolCallDelta, chat_model
from chatwright.core.protocols import PROTOCOLS
from contract.subjects import PROMPT, endpoint, gguf, serving


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool
def divide(a: int, b: int) -> float:
    """Divide one number by another."""
    return a / b


TOOLS = [add, multiply, divide]
CALLS = [
    [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})],
    [("add", {"a": 5, "b": 20})],
]


def results(messages):
    return [each for each in messages if each.type == "tool" or "tool_response" in each.text[:20]]


def planned(turn):
    """Return what the LLM does in this turn of the conversation."""
    return CALLS[turn] if turn < len(CALLS) else "It is 25."


@chat_model
def native(messages, tools, tool_choice):
    said = planned(len([each for each in messages if each.type == "ai"]))
    if isinstance(said, str):
        yield from said
        return
    yield "I will calculate."
    for index, (name, args) in enumerate(said):
        yield ToolCallDelta(index, None, name)
        yield ToolCallDelta(index, args=json.dumps(args))


@chat_model
def text_only(messages):
    said = planned(len([each for each in messages if each.type == "ai"]))
    if isinstance(said, str):
        yield from said
        return
    yield "I will calculate."
    for name, args in said:
        yield from f"<tool_call>{json.dumps({'name': name, 'arguments': args})}</tool_call>\n"


def served(received):
    """Plan as the others do; the tools' results tell the turn, whatever the wire."""
    results = [role for role, _ in received.asked.messages if role == "tool"]
    said = planned({0: 0, 2: 1}.get(len(results), 2))
    if isinstance(said, str):
        return [*said]
    calls = enumerate(said, 10 * len(results))
    deltas = [ToolCallDelta(n, f"c{n}", name, json.dumps(args)) for n, (name, args) in calls]
    return ["I will calculate.", *deltas]


def at_server(wire):
    return endpoint(wire, base_url=serving(served) + "/v1")


MODELS = {
    "native": lambda: native,
    "text_only": lambda: text_only,
    **{wire: functools.partial(at_server, wire) for wire in ("openai", "anthropic", "responses")},
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


QUESTION = {"messages": [("human", "What is (2 + 3) + (4 * 5)?")]}


def check_transcript(messages):
    kinds = [each.type for each in messages]
    assert kinds == ["human", "ai", "tool", "tool", "ai", "tool", "ai"]
    assert [each.content for each in messages if each.type == "tool"] == ["5", "20", "25"]
    assert messages[1].text == "I will calculate."
    ids = [call["id"] for each in messages if each.type == "ai" for call in each.tool_calls]
    assert len(set(ids)) == 3
    assert [each.tool_call_id for each in messages if each.type == "tool"] == ids
    assert messages[-1].text == "It is 25."


async def test_an_agent_runs_its_loop(model):
    agent = create_agent(model, TOOLS, system_prompt="You calculate.")
    check_transcript(agent.invoke(QUESTION)["messages"])
    check_transcript((await agent.ainvoke(QUESTION))["messages"])


async def test_an_agent_streams_its_tokens(model):
    agent = create_agent(model, TOOLS)
    streamed = list(agent.stream(QUESTION, stream_mode="messages"))
    tokens = [chunk for chunk, _ in streamed if isinstance(chunk, AIMessageChunk)]
    assert "".join(each.text for each in tokens) == "I will calculate." * 2 + "It is 25."
    assert len(tokens) > 15
    again = [chunk async for chunk, _ in agent.astream(QUESTION, stream_mode="messages")]
    text = "".join(each.text for each in again if isinstance(each, AIMessageChunk))
    assert text == "I will calculate." * 2 + "It is 25."


async def test_a_graph_streams_messages_and_runs_parallel_calls(model):
    bound = model.bind_tools(TOOLS)

    async def think(state):
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    compiled = graph.compile()
    check_transcript((await compiled.ainvoke(QUESTION))["messages"])
    chunks = [chunk async for chunk, _ in compiled.astream(QUESTION, stream_mode="messages")]
    texts = [each.text for each in chunks if isinstance(each, AIMessageChunk)]
    assert "".join(texts) == "I will calculate." * 2 + "It is 25."
    answers = {each.id for each in chunks if isinstance(each, AIMessageChunk)}
    assert len(answers) == 3


def failing(messages):
    told = [each.text for each in messages if "Error" in each.text]
    if told:
        return f"It failed: {'zero' if 'zero' in told[0] else told[0]}"
    return '<tool_call>{"name": "divide", "arguments": {"a": 1, "b": 0}}</tool_call>'


def test_a_tool_that_fails_is_told_to_the_llm():
    model = chat_model(failing)
    graph = StateGraph(MessagesState)
    graph.add_node("think", lambda s: {"messages": [model.bind_tools(TOOLS).invoke(s["messages"])]})
    graph.add_node("tools", ToolNode(TOOLS, handle_tool_errors=True))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    *_, result, answer = graph.compile().invoke(QUESTION)["messages"]
    assert result.status == "error"
    assert answer.text == "It failed: zero"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_agent_goes_on_for_twenty_turns_in_every_protocol(protocol):
    turns = []

    @chat_model(tool_protocol=protocol)
    def counting(messages):
        turns.append(messages)
        count = len([each for each in messages if each.type == "ai"])
        if count == 20:
            yield "done"
            return
        written = counting.spoken_protocol().write_calls(
            [("add", json.dumps({"a": count, "b": 1}))]
        )
        yield from written

    agent = create_agent(counting, TOOLS)
    messages = agent.invoke({"messages": ["count"]}, {"recursion_limit": 100})["messages"]
    assert [each.content for each in messages if isinstance(each, ToolMessage)] == [
        str(n + 1) for n in range(20)
    ]
    assert messages[-1].text == "done"
    # What the LLM is shown of its earlier calls and their results is what it wrote and got.
    told = [each.text for each in turns[-1]]
    written = [
        counting.spoken_protocol().write_calls([("add", json.dumps({"a": n, "b": 1}))])
        for n in range(20)
    ]
    assert [each.text for each in turns[-1] if each.type == "ai"] == written
    assert "20" in told[-1]


UNREAD = '<tool_call>{"name": "add", "arguments": {"a": 2, b: 3}}</tool_call>'


@pytest.mark.parametrize("mode", ["values", "messages"])
def test_an_agent_goes_on_behind_a_call_that_cant_be_read(mode):
    @chat_model
    def careless(messages):
        told = [each.text for each in messages if each.type != "system"]
        if "tool_response" in told[-1]:
            yield "It is 5."
        else:
            yield from UNREAD.replace("b:", '"b":') if "can't be read" in told[-1] else UNREAD

    agent = create_agent(careless, TOOLS)
    if mode == "values":
        messages = agent.invoke(QUESTION)["messages"]
    else:
        messages = [chunk for chunk, _ in agent.stream(QUESTION, stream_mode="messages")]
    assert [each.text for each in messages if isinstance(each, ToolMessage)] == ["5"]
    assert messages[-1].text == "It is 5." or "".join(each.text for each in messages[-9:])


def test_an_agent_whose_calls_stay_unreadable_ends_with_their_text():
    agent = create_agent(chat_model(lambda messages: UNREAD), TOOLS)
    for state in (agent.invoke(QUESTION), [*agent.stream(QUESTION, stream_mode="values")][-1]):
        answer = state["messages"][-1]
        assert answer.text == 'add {"a": 2, b: 3}'
        assert len(answer.invalid_tool_calls) == 1


class Sum(BaseModel):
    """A sum."""

    total: int


@chat_model
def formats(messages, tools=None, tool_choice=None, response_format=None):
    """Reads tools and formats, and uses what it is given."""
    if not any(each.type == "tool" for each in messages):
        yield ToolCallDelta(0, "1", "add", '{"a": 2, "b": 3}')
    elif response_format:
        yield from '{"total": 5}'
    else:
        yield ToolCallDelta(0, "2", "Sum", '{"total": 5}')


@chat_model
def writes(messages):
    """Reads nothing but text."""
    told = " ".join(each.text for each in messages)
    if "tool_response" not in told.replace("<tool_response> tags", ""):
        yield '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>'
    elif "JSON schema" in told:
        yield 'Here: {"total": 5}'
    else:
        yield '<tool_call>{"name": "Sum", "arguments": {"total": 5}}</tool_call>'


@pytest.mark.parametrize("model", [formats, writes], ids=lambda each: each.model_name)
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy, None])
async def test_agents_give_structured_output_by_either_strategy(model, strategy):
    wanted = strategy(Sum) if strategy else Sum
    agent = create_agent(model, [add], response_format=wanted)
    for state in (agent.invoke(QUESTION), await agent.ainvoke(QUESTION)):
        assert state["structured_response"] == Sum(total=5)
        assert next(each.content for each in state["messages"] if each.type == "tool") == "5"


# The real engine.


@pytest.fixture(scope="module")
def smollm2():
    return gguf(max_tokens=100)


@wrap_model_call
def force_one_call(request, handler):
    called = any(isinstance(each, ToolMessage) for each in request.messages)
    return handler(request.override(tool_choice="none" if called else "any"))


def test_smollm2_calls_forced_tools_in_an_agent(smollm2):
    agent = create_agent(smollm2, TOOLS, system_prompt=PROMPT[0], middleware=[force_one_call])
    *_, call, result, answer = agent.invoke({"messages": ["Add 2 and 3."]})["messages"]
    assert call.tool_calls[0]["name"] in {each.name for each in TOOLS}
    assert call.tool_calls[0]["args"].keys() == {"a", "b"}
    assert isinstance(result, ToolMessage)
    assert answer.text
    assert not answer.tool_calls


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_smollm2_gives_agents_structured_output(smollm2, strategy):
    agent = create_agent(smollm2, [], response_format=strategy(Sum))
    state = agent.invoke({"messages": [PROMPT[0], HumanMessage("What is the sum of 2 and 3?")]})
    assert isinstance(state["structured_response"], Sum)
