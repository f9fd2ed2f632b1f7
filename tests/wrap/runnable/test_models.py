"""A chat model inside a chat model."""

import asyncio
import pickle
import threading
import warnings

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.load import dumpd
from langchain_core.load import load as langchain_load
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from chatwright import (
    ChatFunction,
    ChatModel,
    ChatRunnable,
    DefinitionError,
    StructureError,
    ToolCallDelta,
    chat_model,
    load,
)
from contract.subjects import MODES, SUBJECTS
from wrap.runnable.inner import Native, Plain, Slow, Streaming


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"Sunny in {city}."


CALL = {"name": "weather", "args": {"city": "Bern"}, "id": "call-7", "type": "tool_call"}


@pytest.mark.parametrize("inner", [Plain, Streaming, Native])
@pytest.mark.parametrize("way", MODES)
async def test_a_stop_sequence_ends_what_the_inner_model_ignores(inner, way):
    answer = await MODES[way](chat_model(inner()), "x", stop=["two"])
    assert answer.text == "one two"
    assert answer.response_metadata["stop_sequence"] == "two"


def test_a_stop_sequence_ends_the_inner_stream_early():
    inner = Slow(words=["one ", "END ", "three ", "four"])
    assert chat_model(inner).invoke("x", stop=["END"]).text == "one END"
    assert "four" not in inner.seen


@pytest.mark.parametrize("way", MODES)
async def test_native_tools_stay_native(way):
    inner = Native(calls=[{**CALL, "args": '{"city": "Bern"}'}], words=["Let me see."])
    if way in {"invoke", "ainvoke"}:
        inner = Native(calls=[CALL], words=["Let me see."])
    model = chat_model(inner).bind_tools([weather], tool_choice="weather")
    answer = await MODES[way](model, "x")
    assert answer.tool_calls == [CALL]
    assert answer.text == "Let me see."
    messages, given = inner.seen[0]
    assert messages[0].text == "x"
    assert given["tools"][0]["function"]["name"] == "weather"
    assert given["tool_choice"] == "weather"


def test_tools_are_taught_to_a_model_that_knows_none():
    written = '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
    inner = Plain(words=[written])
    answer = chat_model(inner).bind_tools([weather]).invoke("x")
    assert [each["args"] for each in answer.tool_calls] == [{"city": "Bern"}]
    assert "weather" in inner.seen[0][0][0].text


class Point(BaseModel):
    a: int


def test_structured_output_of_a_model_that_knows_none_is_validated():
    model = chat_model(Plain(words=['So: {"a": 3}']))
    assert model.with_structured_output(Point).invoke("x") == Point(a=3)
    with pytest.raises(StructureError):
        chat_model(Plain()).with_structured_output(Point, retries=0).invoke("x")


def test_reasoning_tags_are_split_off():
    answer = chat_model(Streaming(words=["<think>h", "m</think>", "yes"])).invoke("x")
    assert (answer.text, answer.additional_kwargs["reasoning_content"]) == ("yes", "hm")


def test_parameters_reach_the_inner_model_as_they_are():
    inner = Plain()
    chat_model(inner, temperature=0.5).invoke("x", max_tokens=3, weird={"a": 1}, model="b")
    given = {"temperature": 0.5, "max_tokens": 3, "weird": {"a": 1}, "model": "b"}
    assert inner.seen[0][1] == given


def test_what_is_bound_retried_or_replaced_keeps_its_tools():
    inner = Native(calls=[CALL], words=[""])
    for wrapped in (
        inner.bind(weird=1),
        inner.with_config(tags=["t"]),
        inner.with_retry(),
        inner.with_fallbacks([Native()]),
    ):
        model = chat_model(wrapped)
        assert model.capabilities().tools
        assert model.bind_tools([weather]).invoke("x").tool_calls == [CALL]


def test_a_bound_parameter_stays():
    inner = Native()
    chat_model(inner.bind(weird=1)).invoke("x")
    assert inner.seen[0][1]["weird"] == 1


def test_a_fallback_answers():
    class Broken(Plain):
        def _generate(self, *args, **kwargs):
            raise ConnectionError("gone")

    assert chat_model(Broken().with_fallbacks([Plain()])).invoke("x").text == "one two three"


def test_a_fallback_without_tools_takes_the_ability_away():
    assert not chat_model(Native().with_fallbacks([Plain()])).capabilities().tools


async def test_a_sync_model_keeps_one_thread_a_stream():
    threads = set()

    class Watched(Streaming):
        def _stream(self, *args, **kwargs):
            for chunk in super()._stream(*args, **kwargs):
                threads.add(threading.get_ident())
                yield chunk

    assert len([each async for each in chat_model(Watched()).astream("x")]) > 3
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_an_async_model_runs_on_the_callers_loop():
    loops = set()

    class Watched(Native):
        async def _astream(self, *args, **kwargs):
            loops.add(asyncio.get_running_loop())
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    assert [each async for each in chat_model(Watched()).astream("x")]
    assert loops == {asyncio.get_running_loop()}


def test_a_model_that_streams_in_async_code_only_streams_in_sync_code():
    class AsyncOnly(Plain):
        async def _astream(self, *args, **kwargs):
            for chunk in Streaming._stream(self, *args, **kwargs):
                yield chunk

    assert len([*chat_model(AsyncOnly()).stream("x")]) > 3


def test_media_are_left_to_the_inner_model():
    inner = Plain()
    image = {"type": "image_url", "image_url": {"url": "http://a/b.png"}}
    chat_model(inner).invoke([HumanMessage([image])])
    assert inner.seen[0][0][0].content == [image]


def test_an_answer_in_a_providers_form_goes_back_as_it_was():
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "hi"},
    ]
    told = {"model_provider": "anthropic"}
    inner = GenericFakeChatModel(messages=iter([AIMessage(content, response_metadata=told)] * 2))
    seen = []

    class Watched(GenericFakeChatModel):
        def _generate(self, messages, *args, **kwargs):
            seen.append(messages)
            return super()._generate(messages, *args, **kwargs)

    inner = Watched(messages=iter([AIMessage(content, response_metadata=told)] * 2))
    model = chat_model(inner)
    answer = model.invoke("x")
    model.invoke([HumanMessage("x"), answer, HumanMessage("y")])
    back = seen[1][1]
    assert back.content == content
    assert back.response_metadata["model_provider"] == "anthropic"


def test_a_text_that_was_edited_stays_edited():
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    inner = GenericFakeChatModel(
        messages=iter([AIMessage([thought, {"type": "text", "text": "a"}])])
    )
    answer = chat_model(inner).invoke("x").model_copy(update={"content": "[redacted]"})
    seen = Plain()
    chat_model(seen).invoke([HumanMessage("x"), answer, HumanMessage("y")])
    assert seen.seen[0][0][1].text == "[redacted]"


def test_tools_that_are_bound_anew_take_the_place_of_those_bound_inside():
    @tool
    def other() -> str:
        """Do something else."""
        return ""

    inner = Native()
    chat_model(inner.bind_tools([weather])).bind_tools([other]).invoke("x")
    assert [each["function"]["name"] for each in inner.seen[0][1]["tools"]] == ["other"]


def test_max_retries_is_the_inner_models():
    with pytest.raises(DefinitionError, match="max_retries=2"):
        chat_model(Plain(), max_retries=2)


async def test_a_stop_closes_the_inner_run_before_the_outer_one_ends():
    ended = []

    class Ends(BaseCallbackHandler):
        def on_llm_end(self, response, *, parent_run_id=None, **told):
            ended.append("outer" if parent_run_id is None else "inner")

        def on_llm_error(self, error, *, parent_run_id=None, **told):
            ended.append("outer" if parent_run_id is None else "inner")

    inner = GenericFakeChatModel(messages=iter([AIMessage("a b c d")] * 2))
    async for _ in chat_model(inner).astream("x", {"callbacks": [Ends()]}, stop=["b"]):
        pass
    assert ended == ["inner", "outer"]


def test_the_profile_is_the_inner_ones():
    inner = Native(profile={"max_input_tokens": 77, "structured_output": True})
    profile = chat_model(inner).profile
    assert profile["max_input_tokens"] == 77
    assert profile["structured_output"]
    assert profile["tool_calling"]


def test_the_names_are_the_inner_ones():
    model = chat_model(Plain())
    assert (model.model_name, model.get_name()) == ("plain-1", "plain-1")
    assert chat_model(Plain(), model_name="mine").model_name == "mine"


def test_one_of_ours_is_taken_as_it_is():
    @chat_model
    def ours(messages):
        return "hi"

    assert chat_model(ours) is ours
    assert isinstance(ours, ChatFunction)
    assert isinstance(chat_model(ours, temperature=1), ChatRunnable)
    assert isinstance(chat_model(include_stop=False)(Plain()), ChatRunnable)


def test_a_model_of_text_answers_messages():
    assert chat_model(FakeListLLM(responses=["hi"])).invoke("x").text == "hi"


def test_the_one_obvious_argument_comes_first():
    assert ChatRunnable(Plain()).invoke("x").text == "one two three"
    assert ChatFunction(lambda messages: "hi").invoke("x").text == "hi"


def test_it_pickles():
    again = pickle.loads(pickle.dumps(chat_model(Plain())))
    assert again.invoke("x").text == "one two three"


def test_it_is_stored_with_the_model_inside():
    inner = ChatOpenAI(model="gpt-x", api_key="k-1234", temperature=0.25)
    again = langchain_load(
        dumpd(chat_model(inner, stop=["END"])),
        allowed_objects=[ChatRunnable, ChatOpenAI],
        valid_namespaces=["chatwright"],
        secrets_map={"OPENAI_API_KEY": "k-1234"},
    )
    assert isinstance(again.runnable, ChatOpenAI)
    assert (again.runnable.temperature, again.stop) == (0.25, ["END"])


@pytest.mark.parametrize(
    "inner",
    [Plain(), Plain().bind(stop=["two"]), RunnableLambda(str) | RunnableLambda(str)],
    ids=["a model", "a bound one", "a chain"],
)
def test_it_says_where_what_is_inside_cannot_be_stored(inner):
    stored = dumpd(chat_model(inner))
    assert stored["type"] == "not_implemented"
    with pytest.raises(NotImplementedError):
        langchain_load(stored, allowed_objects="all", valid_namespaces=["chatwright"])


def test_load_makes_one_of_any_model():
    model = load("langchain_core.language_models:FakeListChatModel", responses=["a b"])
    assert isinstance(model, ChatModel)
    assert model.invoke("x", stop=["a"]).text == "a"
    raw = load("langchain_core.language_models:FakeListChatModel", raw=True)
    assert isinstance(raw, type)


def test_every_kind_of_source_of_ours_goes_inside():
    subject = next(each for each in SUBJECTS if each.name == "native")
    model = chat_model(subject.make(), include_stop=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.invoke(list(subject.prompt)).text == subject.text


def test_a_call_made_inside_a_function_streams():
    def source(messages, tools):
        yield ToolCallDelta(0, "c", "weather", {"city": "Bern"})

    model = chat_model(chat_model(source), temperature=0)
    assert model.bind_tools([weather]).invoke("x").tool_calls[0]["id"] == "c"
