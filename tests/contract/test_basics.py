import copy
import threading
import time

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from chatwright import chat_model
from chatwright.testing import Raise, ScriptedModel
from contract.subjects import PROMPT, new_id

INPUTS = {
    "str": "hello there",
    "tuples": [("system", "be kind"), ("human", "hello there")],
    "dicts": [{"role": "user", "content": "hello there"}],
    "messages": [HumanMessage("hello there")],
    "string prompt": StringPromptValue(text="hello there"),
    "chat prompt": ChatPromptValue(messages=[HumanMessage("hello there")]),
}


@pytest.mark.parametrize("kind", INPUTS)
async def test_B1_every_kind_of_input_gives_an_ai_message(model, kind):
    for answer in (model.invoke(INPUTS[kind]), await model.ainvoke(INPUTS[kind])):
        assert isinstance(answer, AIMessage)
        assert isinstance(answer.text, str)
        assert answer.text


def test_B2_type_and_identity_are_named(model):
    assert model._llm_type
    assert model._identifying_params["model_name"] == model.model_name != ""


def test_B3_the_standard_parameters_are_accepted(subject):
    model = subject.make(
        temperature=0,
        max_tokens=100,
        timeout=200,
        max_retries=2,
        stop=["###"],
        streaming=True,
        api_key="sk-x",
    )
    assert model.temperature == 0
    assert model.invoke(subject.prompt).text


def test_B3_a_misspelt_parameter_is_refused_by_name(subject):
    with pytest.raises(ValueError, match="temprature"):
        subject.make(temprature=0)


async def test_B4_consecutive_roles_and_names_are_accepted(model, mode):
    answer = await mode(
        model,
        [
            SystemMessage("be kind"),
            SystemMessage("be brief"),
            HumanMessage("hi", name="ann"),
            HumanMessage("hello there"),
            AIMessage("yes", name="bot"),
            AIMessage("what is it?"),
            HumanMessage("the sky"),
        ],
    )
    assert isinstance(answer.text, str)


async def test_B5_input_messages_are_never_changed(model, mode):
    prompt = [
        *PROMPT,
        AIMessage([{"type": "text", "text": "let me see"}], tool_calls=[]),
        AIMessage("", tool_calls=[{"name": "look", "args": {"a": 1}, "id": "1"}]),
        ToolMessage("a sky", tool_call_id="1", artifact={"big": 1}),
        HumanMessage([{"type": "text", "text": "and?"}]),
    ]
    before = copy.deepcopy(prompt)
    await mode(model, prompt)
    assert prompt == before


async def test_B6_every_result_is_fresh_and_its_id_embeds_the_run_id(model, subject, mode):
    first_id, second_id = new_id(), new_id()
    first = await mode(model, subject.prompt, {"run_id": first_id})
    second = await mode(model, subject.prompt, {"run_id": second_id})
    assert first is not second
    assert str(first_id) in first.id
    assert str(second_id) in second.id


@pytest.mark.parametrize("runs_async", [False, True])
async def test_B7_null_content_is_empty_text(mode, runs_async):
    model = ScriptedModel(script=[None, "a", None], runs_async=runs_async)
    assert (await mode(model, "x")).text == "a"


async def test_B8_the_developer_role_is_honoured(mode):
    seen = []

    @chat_model
    def roles(messages):
        seen.extend(each.additional_kwargs.get("__openai_role__") for each in messages)
        return "ok"

    await mode(roles, [{"role": "developer", "content": "be brief"}, ("human", "hi")])
    assert seen == ["developer", None]


async def test_B9_a_result_survives_serialization(model, subject, mode):
    answer = await mode(model, subject.prompt)
    assert loads(dumps(answer), allowed_objects="messages") == answer


async def test_B10_batches_keep_their_order(model, subject):
    other = [HumanMessage("say: something else")]
    expected = [model.invoke(subject.prompt).text, model.invoke(other).text]
    assert expected[0] == subject.text != expected[1]
    batch = model.batch([subject.prompt, other])
    assert [each.text for each in batch] == expected
    abatch = await model.abatch([subject.prompt, other])
    assert [each.text for each in abatch] == expected


@pytest.mark.parametrize("runs_async", [False, True])
async def test_B10_batches_return_exceptions_where_asked(runs_async):
    model = ScriptedModel(script=[Raise(KeyError("no"))], runs_async=runs_async)
    for answers in (
        model.batch(["a", "b"], return_exceptions=True),
        await model.abatch(["a", "b"], return_exceptions=True),
    ):
        assert [type(each) for each in answers] == [KeyError, KeyError]


async def test_B10_batches_honour_max_concurrency():
    inside, most, lock = 0, 0, threading.Lock()

    @chat_model
    def count(messages):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return "ok"

    count.batch(["x"] * 8, {"max_concurrency": 2})
    assert most == 2
    most = 0
    await count.abatch(["x"] * 8, {"max_concurrency": 3})
    assert most == 3
