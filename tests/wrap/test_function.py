import functools
import inspect
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from pydantic import Field

from chatwright import (
    ChatFunction,
    DefinitionError,
    Finish,
    LoadError,
    OutputError,
    Usage,
    chat_model,
)
from wrap import decorated
from wrap.decorated import Holder, shout, whisper


def test_a_decorated_function_is_a_chat_model():
    assert isinstance(shout, BaseChatModel)
    assert shout.invoke("hello there").text == "HELLO!THERE!"
    assert whisper.invoke("HELLO").text == "hello"


def test_name_docstring_module_and_signature_are_kept():
    assert shout.__name__ == "shout"
    assert shout.__doc__ == "Repeats the last message in capitals."
    assert shout.__module__ == "wrap.decorated"
    assert list(inspect.signature(shout).parameters) == ["messages", "temperature", "mark"]
    assert inspect.unwrap(shout) is shout.function
    assert shout.get_name() == "shout"


def test_it_can_still_be_called():
    from langchain_core.messages import HumanMessage

    assert list(shout([HumanMessage("a b")], mark="?")) == ["A?", "B?"]


def test_fields_given_to_the_decorator_apply():
    assert whisper.model_name == "whisperer"
    assert whisper.temperature == 0.5
    assert shout.temperature == 0.0
    assert chat_model(shout.function, temperature=0.7).temperature == 0.7


def test_parentheses_without_fields_will_do():
    @chat_model()
    def quiet(messages):
        return "ok"

    assert isinstance(quiet, ChatFunction)
    assert quiet.invoke("x").text == "ok"


def test_bound_methods_lambdas_partials_and_callable_objects_will_do():
    class Callable:
        def __call__(self, messages):
            yield "called"

    class AsyncCallable:
        async def __call__(self, messages):
            yield "async called"

    def two(word, messages):
        return word

    assert chat_model(Holder("held").reply).invoke("x").text == "held"
    assert chat_model(lambda messages: "lambda").invoke("x").text == "lambda"
    assert chat_model(functools.partial(two, "partial")).invoke("x").text == "partial"
    assert chat_model(Callable()).invoke("x").text == "called"
    assert chat_model(AsyncCallable()).invoke("x").text == "async called"


async def test_a_sync_wrapper_around_an_async_function_will_do():
    async def inner(messages):
        yield "inner"

    wrapped = chat_model(lambda messages: inner(messages))
    assert wrapped.invoke("x").text == "inner"
    assert (await wrapped.ainvoke("x")).text == "inner"


@pytest.mark.parametrize("way", [pickle, cloudpickle], ids=lambda m: m.__name__)
@pytest.mark.parametrize("name", ["shout", "whisper"])
def test_it_pickles_by_name(way, name):
    model = getattr(decorated, name)
    again = pickle.loads(way.dumps(model))
    assert again == model
    assert again.function is model.function
    assert len(way.dumps(model)) < 2000


def test_a_bound_method_pickles_with_its_object():
    again = pickle.loads(pickle.dumps(Holder("held").model))
    assert again.invoke("x").text == "held"


def test_a_local_function_pickles_by_value_where_cloudpickle_is():
    word = "closed over"

    @chat_model
    def local(messages):
        return word

    assert pickle.loads(pickle.dumps(local)).invoke("x").text == "closed over"


def answer(model):
    return model.invoke("hi").text


def test_it_works_in_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(answer, (shout,)) == "HI!"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: "x", "takes no 'messages'"),
        (lambda *messages: "x", r"'\*messages'"),
        (lambda messages, *rest: "x", r"'\*rest'"),
        (lambda messages, /: "x", "drop the '/'"),
        (lambda messages, nonsense: "x", "needs 'nonsense'.*temperature"),
        (lambda self, messages: "x", r"takes 'self'.*chat_model\(object\."),
        (3, "not of 3"),
        (int, "not of <class 'int'>"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused_at_decoration(function, says):
    with pytest.raises(DefinitionError, match=says):
        chat_model(function)


def test_the_error_names_the_function():
    def answer_all(messages, nonsense):
        return "x"

    with pytest.raises(DefinitionError, match=r"answer_all\(\)"):
        chat_model(answer_all)


def nothing(messages):
    if messages is None:
        yield "never"


def none(messages):
    return None


async def anone(messages):
    return None


async def anothing(messages):
    if messages is None:
        yield "never"


def number(messages):
    yield 3


async def alist(messages):
    return ["a"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (nothing, r"nothing\(\) ended without giving anything"),
        (none, r"none\(\) ended without giving anything"),
        (anone, r"anone\(\) ended without giving anything"),
        (anothing, r"anothing\(\) ended without giving anything"),
        (number, r"number\(\) gave 3"),
        (alist, r"alist\(\) gave \['a'\]"),
    ],
)
async def test_a_wrong_answer_is_an_error_that_names_function_and_value(function, says):
    model = chat_model(function)
    with pytest.raises(OutputError, match=says):
        model.invoke("x")
    with pytest.raises(OutputError, match=says):
        await model.ainvoke("x")


def test_keyword_arguments_take_what_else_a_call_gives():
    @chat_model
    def takes_all(messages, *, mark="!", **rest):
        return f"{mark} {sorted(rest.items())}"

    assert takes_all.invoke("x", mark="?", a=1, b=2).text == "? [('a', 1), ('b', 2)]"


def test_keyword_arguments_take_a_calls_own_fields_stop_and_tools_too():
    @chat_model
    def takes_all(messages, **given):
        return f"{sorted(given)}"

    tool = {"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}}
    assert takes_all.invoke("x", temperature=1.0).text == "['temperature']"
    assert takes_all.invoke("x", stop=["zz"]).text == "['stop']"
    assert takes_all.bind_tools([tool]).invoke("x").text == "['tools']"
    assert takes_all.invoke("x").text == "[]"


@pytest.mark.parametrize("name", ["stream", "tags", "metadata", "callbacks", "run_id"])
def test_a_parameter_that_no_call_could_set_is_refused(name):
    scope = {}
    exec(f"def source(messages, {name}=None): ...", scope)
    with pytest.raises(DefinitionError, match=f"'{name}', which LangChain keeps"):
        chat_model(scope["source"])


def test_a_parameter_that_is_a_field_of_the_model_is_given_its_value():
    @chat_model
    def source(messages, include_stop=None, tool_retries=None):
        return repr((include_stop, tool_retries))

    assert source.invoke("x").text == "(True, 1)"
    assert source.invoke("x", include_stop=False, tool_retries=3).text == "(False, 3)"


def test_without_stop_sequences_a_functions_own_default_stands():
    @chat_model
    def source(messages, stop=("one", "two")):
        return str(len(stop))

    assert source.invoke("x").text == "2"
    assert source.invoke("x", stop=["zz"]).text == "1"


def test_the_name_of_the_model_that_answered_wins():
    @chat_model
    def router(messages):
        yield "hi"
        yield Finish(metadata={"model_name": "small-7b"})
        yield Usage(1, 1)

    sums = UsageMetadataCallbackHandler()
    answer = router.invoke("x", {"callbacks": [sums]})
    assert answer.response_metadata["model_name"] == "small-7b"
    assert [*sums.usage_metadata] == ["small-7b"]


def test_a_serialized_model_is_never_imported_by_name():
    with pytest.raises(LoadError, match="has been made a chat model"):
        ChatFunction(function="os:system")
    assert ChatFunction(function="wrap.decorated:shout").invoke("a").text == "A!"


def test_request_parts_reach_the_function():
    @chat_model
    def shows(messages, tools, tool_choice, response_format, model, api_key):
        return repr((tools, tool_choice, response_format, model, api_key))

    got = shows.invoke(
        "x", tools=[{"a": 1}], tool_choice="any", response_format={"b": 2}, model="other"
    )
    assert got.text == "([{'a': 1}], 'required', {'b': 2}, 'other', None)"


class Own(ChatFunction):
    function: Callable[..., Any] = Field(default=lambda messages: "aye", exclude=True)
    model_name: str = "own"


def test_a_subclass_may_have_a_function_of_its_own_and_keeps_its_name():
    model = Own()
    assert (model.invoke("x").text, model.model_name, model.get_name()) == ("aye", "own", "Own")
    other = Own(lambda messages, temperature=0.5: f"{temperature}")
    assert (other.invoke("x").text, other.model_name) == ("0.5", "own")
