import functools
import socket

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField

import chatwright
from chatwright import ParameterError, chat_model
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import ScriptedModel
from contract.subjects import MODES
from wrap import decorated


def test_R1_langsmith_parameters_name_the_model_and_the_call(subject):
    model = subject.make(temperature=0.5, max_tokens=7, stop=["a"])
    params = model._get_ls_params()
    assert params == {
        "ls_provider": "chatwright",
        "ls_model_name": model.model_name,
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 7,
        "ls_stop": ["a"],
    }
    called = model._get_ls_params(stop=["b"], model="other", temperature=0.1, max_tokens=3)
    assert called["ls_model_name"] == "other"
    assert called["ls_stop"] == ["b"]
    assert (called["ls_temperature"], called["ls_max_tokens"]) == (0.1, 3)


async def test_R1_M3_a_calls_model_is_in_the_trace_and_the_answer(subject, mode):
    recorder = Recorder()
    answer = await mode(subject.make(), subject.prompt, {"callbacks": [recorder]}, model="other")
    (start,) = [kwargs for name, _, kwargs in recorder.calls if name == "on_chat_model_start"]
    assert start["metadata"]["ls_model_name"] == "other"
    assert answer.response_metadata["model_name"] == "other"
    assert answer.response_metadata["model_provider"] == start["metadata"]["ls_provider"]


async def test_R2_a_calls_values_override_the_constructors(mode):
    @chat_model(temperature=0.9)
    def show(messages, temperature, max_tokens=5, *, style="plain"):
        return f"{temperature} {max_tokens} {style}"

    assert (await mode(show, "x")).text == "0.9 5 plain"
    answer = await mode(show, "x", temperature=0.1, max_tokens=2, style="bold")
    assert answer.text == "0.1 2 bold"
    assert (await mode(show.bind(style="thin"), "x")).text == "0.9 5 thin"
    assert show.temperature == 0.9


async def test_R2_a_field_of_a_subclass_may_be_set_by_a_call(mode):
    model = chatwright.CustomChatModelAdvanced(n=3, model_name="m")
    assert (await mode(model, "hello", n=1)).text == "h"
    assert (await mode(model, "hello")).text == "hel"


async def test_R2_an_unknown_parameter_is_refused_by_name(subject, mode):
    with pytest.raises(ParameterError, match=r"temprature.*temperature"):
        await mode(subject.make(), subject.prompt, temprature=1)


async def test_R2_a_wrong_value_is_refused_by_name(subject, mode):
    with pytest.raises(ValueError, match="temperature"):
        await mode(subject.make(), subject.prompt, temperature="hot")


async def test_R3_the_packages_version_is_in_the_traces_metadata(subject, mode):
    recorder = Recorder()
    await mode(subject.make(), subject.prompt, {"callbacks": [recorder]})
    (start,) = [kwargs for name, _, kwargs in recorder.calls if name == "on_chat_model_start"]
    assert start["metadata"]["lc_versions"]["chatwright"] == "0.2.0"


def test_R4_the_profile_has_known_keys_and_the_users_wins(subject):
    told = subject.make().profile  # an unknown key would warn, and warnings are errors here
    own = {"max_input_tokens": 7, "tool_calling": False}
    assert subject.make(profile=own).profile == {**told, **own}
    assert subject.make(profile={}).profile == {}


# v3: core's RunnableConfigurableFields has no v3.
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v2"])
async def test_R5_fields_are_configurable_without_losing_any(subject, way):
    model = subject.make(streaming=None, stop=["never there"])
    flexible = model.configurable_fields(
        temperature=ConfigurableField(id="t"), max_tokens=ConfigurableField(id="m")
    ).with_config(configurable={"t": 0.0, "m": 10})
    engine = getattr(model, "engine", None)
    assert (await MODES[way](flexible, subject.prompt)).text == subject.text
    assert getattr(model, "engine", None) is engine
    chunks = list(flexible.stream(subject.prompt))
    assert len(chunks) == len(list(model.stream(subject.prompt)))


def test_R5_a_configured_gguf_model_never_loads_the_engine_again(monkeypatch):
    from chatwright.wrap.gguf import engine
    from contract.subjects import SMOLLM2

    opened = []
    real = engine._open
    monkeypatch.setattr(engine, "_open", lambda *args: opened.append(1) or real(*args))
    model = SMOLLM2(n_ctx=260, n_parallel=1, max_tokens=2)
    flexible = model.configurable_fields(temperature=ConfigurableField(id="t"))
    for t in (0.0, 0.5, 1.0):
        flexible.with_config(configurable={"t": t}).invoke("hi")
    assert len(opened) == 1


def test_R6_the_cache_key_changes_with_every_parameter(subject):
    model = subject.make()
    keys = [
        model._get_llm_string(),
        model._get_llm_string(stop=["a"]),
        model._get_llm_string(temperature=0.1),
        model._get_llm_string(tools=[{"type": "function"}]),
        model._get_llm_string(tool_choice="any"),
        model.model_copy(update={"temperature": 0.11})._get_llm_string(),
        model.model_copy(update={"stop": ["b"]})._get_llm_string(),
        model.model_copy(update={"include_stop": False})._get_llm_string(),
        model.model_copy(update={"model_name": "m"})._get_llm_string(),
        model.model_copy(update={"max_tokens": 3})._get_llm_string(),
        model.model_copy(update={"seed": 3})._get_llm_string(),
        model.model_copy(update={"output_version": "v1"})._get_llm_string(),
    ]
    model.temperature = 0.12
    keys.append(model._get_llm_string())
    assert len(set(keys)) == len(keys)
    assert subject.make()._get_llm_string() == keys[0]


def test_R6_what_core_keeps_of_a_model_follows_its_fields(subject):
    model = subject.make(temperature=0.1)
    assert model._serialized["kwargs"]["temperature"] == 0.1
    model.temperature = 0.2
    assert model._serialized["kwargs"]["temperature"] == 0.2
    assert model.model_copy(update={"temperature": 0.3})._serialized["kwargs"]["temperature"] == 0.3


def test_R6_two_closures_never_share_an_answer():
    def make(word):
        @chat_model
        def says(messages):
            return word

        return says

    cache = InMemoryCache()
    one, two = make("one"), make("two")
    one.cache = two.cache = cache
    assert (one.invoke("x").text, two.invoke("x").text) == ("one", "two")
    assert one.invoke("x").text == "one"


def test_R6_names_that_are_used_again_never_share_an_answer():
    def make(prefix):
        @functools.wraps(decorated.plain)  # all of them are named wrap.decorated:plain
        def wrapper(messages):
            return prefix

        return wrapper

    cache = InMemoryCache()
    answers = [chat_model(make(each), cache=cache).invoke("x").text for each in "abcde"]
    assert answers == [*"abcde"]
    first = chat_model(make("a"))
    first._get_llm_string()
    assert first._get_llm_string() == first.model_copy()._get_llm_string()


async def test_R7_the_rate_limiter_is_asked_once_per_uncached_call(subject, mode, monkeypatch):
    limiter = InMemoryRateLimiter(requests_per_second=1e6, check_every_n_seconds=0.001)
    limiter.available_tokens = 10
    asked = []
    monkeypatch.setattr(limiter, "_consume", lambda: asked.append(1) or True)
    await mode(subject.make(rate_limiter=limiter), subject.prompt)
    assert len(asked) == 1


async def test_R7_a_cached_call_does_not_ask(subject):
    asked = []

    class Limiter(InMemoryRateLimiter):
        def acquire(self, *, blocking=True):
            asked.append(1)
            return True

    model = subject.make(cache=InMemoryCache(), rate_limiter=Limiter())
    texts = [model.invoke(subject.prompt).text for _ in range(3)]
    assert texts == [subject.text] * 3
    assert len(asked) == 1


def test_R8_tokens_are_counted_offline(subject, monkeypatch):
    model = subject.make()
    if subject.name == "gguf":
        assert model.get_num_tokens("hello world") == 2  # by its own tokenizer
        return

    def no_network(*args):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert model.get_num_tokens("hello world") > 1
    assert model.get_num_tokens_from_messages(list(subject.prompt)) > 1


def test_R8_a_model_without_a_tokenizer_says_what_to_do():
    model = ScriptedModel(script=["x"])
    assert model.get_num_tokens("12345") == 2
    with pytest.raises(NotImplementedError, match="custom_get_token_ids"):
        model.get_token_ids("x")
