"""LangChain's classic chains, which stop the LLM by a sequence and parse what it has written."""

import pytest
from langchain_classic.agents import AgentExecutor, create_react_agent
from langchain_classic.agents.output_parsers import ReActSingleInputOutputParser
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_core.tools import tool

from chatwright import chat_model

TEMPLATE = """Tools: {tools} ({tool_names})
Question: {input}
{agent_scratchpad}"""
FOUND = []


@tool
def search(query: str) -> str:
    """Search."""
    FOUND.append(query)
    return "They purr."


def reasoner(messages):
    """Writes on behind its action, as LLMs do."""
    if "They purr." in messages[-1].text:
        return "I know now.\nFinal Answer: They purr."
    return "Thought: look\nAction: search\nAction Input: cats\nObservation: They bark.\nThought: so"


def test_a_react_chain_gets_its_input_alone_where_stops_are_left_out():
    FOUND.clear()
    model = chat_model(reasoner, include_stop=False)
    agent = create_react_agent(model, [search], PromptTemplate.from_template(TEMPLATE))
    answer = AgentExecutor(agent=agent, tools=[search]).invoke({"input": "What do cats do?"})
    assert FOUND == ["cats"]
    assert answer["output"] == "They purr."


def test_a_react_chain_reads_a_stop_that_is_included_as_input_and_a_warning_says_so():
    chain = chat_model(reasoner).bind(stop=["\nObservation"]) | ReActSingleInputOutputParser()
    with pytest.warns(UserWarning, match=r"'\\nObservation'.*include_stop=False"):
        action = chain.invoke("What do cats do?")
    assert action.tool_input == "cats\nObservation"


def query(messages):
    return "SELECT 1\nSQLResult: 1\nAnswer: one"


def test_a_sql_chain_gets_its_query_alone_where_stops_are_left_out():
    bound = chat_model(query, include_stop=False).bind(stop=["\nSQLResult:"])
    assert (bound | StrOutputParser()).invoke("How many?") == "SELECT 1"
    with pytest.warns(UserWarning, match="include_stop=False"):
        included = chat_model(query).bind(stop=["\nSQLResult:"]).invoke("How many?")
    assert included.text == "SELECT 1\nSQLResult:"
