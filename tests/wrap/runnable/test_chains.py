"""A chain inside a chat model."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough, chain

from chatwright import DefinitionError, ParameterError, chat_model
from contract.subjects import MODES
from wrap.runnable.inner import Native

CONVERSATION = [HumanMessage("one"), AIMessage("two"), HumanMessage("three")]


def test_a_function_of_messages_that_returns_text_is_a_chain():
    model = chat_model(RunnableLambda(lambda messages: f"{len(messages)} messages"))
    assert model.invoke(CONVERSATION).text == "3 messages"


@pytest.mark.parametrize("way", MODES)
@pytest.mark.parametrize("parsed", [False, True])
async def test_a_chain_of_a_model_answers_in_every_mode(way, parsed):
    runnable = RunnablePassthrough() | Native()
    model = chat_model(runnable | StrOutputParser() if parsed else runnable)
    answer = await MODES[way](model, CONVERSATION)
    assert answer.text == "one two three"
    assert answer.usage_metadata["total_tokens"] == 6


def test_a_chain_streams():
    chunks = [*chat_model(RunnablePassthrough() | Native()).stream("x")]
    assert len([each for each in chunks if each.text]) == 3


def test_a_prompts_one_text_is_the_last_message():
    inner = Native()
    chat_model(PromptTemplate.from_template("Translate: {text}") | inner).invoke(CONVERSATION)
    assert inner.seen[0][0][0].text == "Translate: three"


def test_a_prompts_placeholder_is_the_conversation():
    inner = Native()
    prompt = ChatPromptTemplate([("system", "Be brief."), MessagesPlaceholder("talk")])
    chat_model(prompt | inner).invoke(CONVERSATION)
    assert [each.text for each in inner.seen[0][0]] == ["Be brief.", "one", "two", "three"]


def test_beside_a_text_the_placeholder_is_what_was_said_before():
    inner = Native()
    prompt = ChatPromptTemplate([MessagesPlaceholder("history"), ("human", "Q: {question}")])
    chat_model(prompt | inner).invoke(CONVERSATION)
    assert [each.text for each in inner.seen[0][0]] == ["one", "two", "Q: three"]


def test_a_prompt_that_wants_more_is_refused_by_name():
    prompt = ChatPromptTemplate([("human", "{question} in {language}")])
    with pytest.raises(DefinitionError, match=r"wants language, question.*prompt\.partial"):
        chat_model(prompt | Native())
    assert chat_model(prompt.partial(language="French") | Native()).invoke("x").text


async def test_an_async_function_serves_sync_code_too():
    @chain
    async def answering(messages):
        return AIMessage(f"async {messages[-1].text}")

    model = chat_model(answering)
    assert model.invoke("x").text == "async x"
    assert (await model.ainvoke("x")).text == "async x"


def test_a_parameter_that_a_chain_can_not_pass_on_is_refused():
    model = chat_model(RunnablePassthrough() | Native())
    with pytest.raises(ParameterError, match="temperature"):
        model.invoke("x", temperature=0.1)
    with pytest.raises(ParameterError, match="weird"):
        model.invoke("x", weird=1)


def test_what_a_prompt_of_one_text_has_no_place_for_is_refused():
    model = chat_model(PromptTemplate.from_template("{text}") | Native())
    schema = {"title": "A", "type": "object", "properties": {}}
    with pytest.raises(ParameterError, match="no place for response_format"):
        model.with_structured_output(schema).invoke("x")
    image = {"type": "image_url", "image_url": {"url": "http://a/b.png"}}
    with pytest.raises(ParameterError, match="no place for content"):
        model.invoke([HumanMessage([image])])


def test_what_is_no_answer_is_refused():
    with pytest.raises(TypeError, match="gave"):
        chat_model(RunnableLambda(lambda messages: {"a": 1})).invoke("x")
    with pytest.raises(DefinitionError, match="not of 3"):
        chat_model(3)
