"""R9: no two models that could answer differently share a cache key; R10: what is derived."""

import collections
import copy
import enum
import functools
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import warnings
from typing import ClassVar

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import ensure_config
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, PrivateAttr, SecretStr

from chatwright import ChatEndpoint, ChatModel, chat_model
from chatwright.langchain.identity import is_identified


class Client:
    def __init__(self, tenant):
        self.tenant = tenant


class Locked(Client):
    def __init__(self, tenant):
        super().__init__(tenant)
        self.lock = threading.Lock()


class InHouse(ChatModel):
    client: object = None

    def reply(self, request):
        return self.client.tenant


def key(model, **kwargs):
    return model._get_llm_string(**kwargs)


def closure(url):
    def source(messages):
        return url

    return source


def default(url):
    def source(messages, where=url):
        return where

    return source


def method(url):
    class Holder:
        def __init__(self, url):
            self.url = url

        def source(self, messages):
            return self.url

    return Holder(url).source


def partial(url):
    def source(url, messages):
        return url

    return functools.partial(source, url)


class Called:
    def __init__(self, url):
        self.url = url

    def __call__(self, messages):
        return self.url


class Settings(BaseModel):
    url: str


def settings(url):
    held = Settings(url=url)
    return lambda messages: held.url


def inner(url):
    model = FakeListChatModel(responses=[url])
    return lambda messages: model.invoke(messages)


def of_globals(url):
    scope = {"URL": url, "__name__": "__main__"}
    exec("def source(messages): return URL", scope)
    return scope["source"]


def of_a_helper(url):
    scope = {"__name__": "__main__"}
    exec(f"def helper(): return {url!r}\ndef source(messages): return helper()", scope)
    return scope["source"]


MAKERS = [closure, default, method, partial, Called, settings, inner, of_globals, of_a_helper]


@pytest.mark.parametrize("make", MAKERS, ids=lambda each: each.__name__)
def test_R9_functions_that_answer_differently_have_keys_of_their_own(make):
    one, other, again = (chat_model(make(url)) for url in ("a", "b", "a"))
    assert key(one) != key(other)
    assert key(one) == key(again)
    cache = InMemoryCache()
    answers = [chat_model(make(url), cache=cache).invoke("x").text for url in ("a", "b", "a", "b")]
    assert answers == ["a", "b", "a", "b"]


@pytest.mark.parametrize("client", [Client, Locked])
def test_R9_objects_in_a_field_never_share_an_answer(client):
    cache = InMemoryCache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(50):
            model = InHouse(client=client(str(number)), cache=cache)
            assert model.invoke("x").text == str(number)
            del model


def test_R9_what_can_not_be_told_apart_is_not_cached_and_says_so_once():
    class Counting(InHouse):
        def reply(self, request):
            calls.append(1)
            return self.client.tenant

    calls, cache = [], InMemoryCache()
    model = Counting(client=Locked("a"), cache=cache, model_name="counting")
    with pytest.warns(UserWarning, match=r"counting are not cached: client.lock.*cache_key"):
        model.invoke("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.invoke("x")
    assert len(calls) == 2
    assert not cache._cache
    named = Counting(client=Locked("a"), cache=cache, cache_key="tenant a")
    assert [named.invoke("x").text for _ in range(2)] == ["a", "a"]
    assert len(calls) == 3
    other = Counting(client=Locked("b"), cache=cache, cache_key="tenant b")
    assert other.invoke("x").text == "b"


async def test_R9_async_calls_and_their_parameters_too():
    def source(messages, client=None):
        return client.tenant

    model = chat_model(source, cache=InMemoryCache())
    with pytest.warns(UserWarning, match=r"not cached: client.lock"):
        assert (await model.ainvoke("x", client=Locked("a"))).text == "a"
    assert (await model.ainvoke("x", client=Locked("b"))).text == "b"


def test_R9_an_init_of_ones_own_may_hold_more_than_fields():
    class Own(ChatModel):
        _client: object = PrivateAttr()

        def __init__(self, client, **fields):
            super().__init__(**fields)
            self._client = client

        def reply(self, request):
            return self._client.tenant

    cache = InMemoryCache()
    assert [Own(Client(t), cache=cache).invoke("x").text for t in "ab"] == ["a", "b"]


def test_R9_inner_models_are_known_by_their_parameters():
    models = [
        chat_model(ChatOpenAI(model="m", api_key=SecretStr(key), base_url=url))
        for key, url in (("k1", "http://a"), ("k2", "http://a"), ("k1", "http://b"))
    ]
    assert len({key(each) for each in models}) == 3
    assert not any("k1" in key(each) for each in models)


def test_R9_secrets_enter_as_a_hash():
    keys = {key(ChatEndpoint(base_url="http://a", model="m", api_key=k)) for k in ("s3cr", "t4ds")}
    assert len(keys) == 2
    assert not any("s3cr" in each or "t4ds" in each for each in keys)


SCRIPT = """
    from chatwright import chat_model
    URL = {url!r}

    @chat_model
    def bot(messages):
        return URL

    print(bot._get_llm_string())
"""


def test_R9_scripts_of_one_name_have_keys_of_their_own_and_keep_them():
    def printed(url):
        code = textwrap.dedent(SCRIPT.format(url=url))
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    one, other, again = printed("a"), printed("b"), printed("a")
    assert one != other
    assert one == again


def test_R9_a_redefinition_is_another_function():
    first, second = (
        chat_model(lambda messages: "a", model_name="m"),
        chat_model(lambda messages: "b", model_name="m"),
    )
    assert key(first) != key(second)


def test_R9_what_config_chooses_is_part_of_the_key():
    def by_config(messages, config):
        return config["configurable"]["tenant"]

    reading = RunnableLambda(lambda x, config: config["configurable"]["tenant"])

    def by_chain(messages):
        return reading.invoke(messages)

    for source in (by_config, by_chain, reading):
        model = chat_model(source, cache=InMemoryCache())
        answers = [
            model.invoke("x", {"configurable": {"tenant": each}}).text for each in ("a", "b", "a")
        ]
        assert answers == ["a", "b", "a"]


def test_R9_langgraphs_own_choices_are_not_part_of_the_key():
    cache = InMemoryCache()
    model = chat_model(lambda messages: "hi", cache=cache)
    for namespace in "ab":
        model.invoke("x", {"configurable": {"checkpoint_ns": namespace, "__own": namespace}})
    assert len(cache._cache) == 1


def test_R9_what_reads_config_in_any_way_is_told_apart():
    def source(messages):
        return ensure_config()["configurable"]["user"]

    model = chat_model(source, cache=InMemoryCache())
    assert [model.invoke("x", {"configurable": {"user": u}}).text for u in "ab"] == ["a", "b"]


class Listed(list):
    def __init__(self, *items, prompt):
        super().__init__(*items)
        self.prompt = prompt


class Plainly(enum.Enum):
    A = "a"
    B = "b"

    def __repr__(self):
        return "one of them"


def in_a_chain(url):
    inner = chat_model(RunnableLambda(lambda messages: url))
    return lambda messages: inner.invoke(messages)


def in_a_list(url):
    held = Listed([], prompt=url)
    return lambda messages: held.prompt


def in_an_enum(url):
    held = Plainly(url)
    return lambda messages: held.value


def in_a_default_dict(url):
    held = collections.defaultdict(functools.partial(str, url))
    return lambda messages: held.default_factory()


def in_a_generator_of_numbers(url):
    held = random.Random(ord(url))
    return lambda messages: str(held.getstate()[1][5])


def in_an_attribute(url):
    def source(messages):
        return source.url

    source.url = url
    return source


def in_a_class(url):
    class Holder:
        held = url

        @staticmethod
        def ask(messages):
            return Holder.held

    return Holder.ask


def of_an_installed_package(url):
    scope = {"__name__": "json"}
    exec("def make(url):\n    return lambda messages: url", scope)
    return scope["make"](url)


HIDDEN = [
    *(in_a_chain, in_a_list, in_an_enum, in_a_default_dict, in_a_generator_of_numbers),
    *(in_an_attribute, in_a_class, of_an_installed_package),
]


@pytest.mark.filterwarnings("ignore:the answers of")
@pytest.mark.parametrize("make", HIDDEN, ids=lambda each: each.__name__)
def test_R9_state_that_hides_never_gives_another_ones_answer(make):
    cache = InMemoryCache()
    answers = [chat_model(make(url), cache=cache, model_name="m").invoke("x").text for url in "ab"]
    assert answers[0] != answers[1]


def test_R9_classes_are_known_by_what_they_hold():
    def made(prompt):
        class Held(ChatModel):
            said: ClassVar[str] = prompt

            def reply(self, request):
                return self.said

        return Held(cache=cache)

    cache = InMemoryCache()
    assert [made(each).invoke("x").text for each in "ab"] == ["a", "b"]


@pytest.mark.filterwarnings("ignore:the answers of")
def test_R9_a_cache_key_helps_a_class_and_a_deep_value_is_no_crash():
    lock = threading.Lock()

    class Guards(ChatModel):
        def reply(self, request):
            with lock:
                return "hi"

    cache = InMemoryCache()
    Guards(cache=cache).invoke("x")
    assert not cache._cache
    Guards(cache=cache, cache_key="k").invoke("x")
    assert cache._cache
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert chat_model(lambda messages: f"{deep and 1}", cache=InMemoryCache()).invoke("x").text


def test_R10_another_source_is_asked_and_cached_as_itself():
    cache = InMemoryCache()
    old = chat_model(FakeListChatModel(responses=["old"]), cache=cache)
    new = old.model_copy(update={"runnable": FakeListChatModel(responses=["new"])})
    assert [old.invoke("x").text, new.invoke("x").text] == ["old", "new"]
    function = chat_model(lambda messages: "old")
    function.function = lambda messages, temperature=None: "new"
    assert function.invoke("x", temperature=1).text == "new"


# R10.


class Cached(ChatModel):
    region: str = "us"

    @functools.cached_property
    def client(self):
        return Client(self.region)

    def reply(self, request):
        return self.client.tenant


class Late(ChatModel):
    region: str = "us"
    _client: Client = PrivateAttr()
    _made: list[str] = PrivateAttr(default_factory=list)

    def model_post_init(self, context):
        super().model_post_init(context)
        self._client = Client(self.region)

    def reply(self, request):
        return self._client.tenant


@pytest.mark.parametrize("cls", [Cached, Late])
def test_R10_what_is_derived_follows_calls_copies_and_assignments(cls):
    model = cls()
    assert model.invoke("x").text == "us"
    assert model.invoke("x", region="eu").text == "eu"
    assert model.bind(region="eu").invoke("x").text == "eu"
    assert model.model_copy(update={"region": "eu"}).invoke("x").text == "eu"
    assert model.invoke("x").text == "us"
    model.region = "eu"
    assert model.invoke("x").text == "eu"


class Guarded(Late):
    def model_post_init(self, context):
        super().model_post_init(context)
        self._client = Locked(self.region)

    @functools.cached_property
    def other(self):
        return Locked(self.region)

    def reply(self, request):
        return self._client.tenant + self.other.tenant


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_K4_a_used_model_with_clients_is_copied_and_pickled(again, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "Guarded", Guarded, raising=False)
    model = Guarded(region="eu")
    assert model.invoke("x").text == "eueu"
    assert again(model).invoke("x").text == "eueu"


def test_R10_what_is_not_derived_is_kept():
    class Counting(ChatModel):
        region: str = "us"
        _calls: list[str] = PrivateAttr(default_factory=list)

        def reply(self, request):
            self._calls.append(self.region)
            return "x"

    model = Counting()
    model.invoke("x", region="eu")
    model.region = "cn"
    model.invoke("x")
    assert model._calls == ["eu", "cn"]


class Slotted:
    __slots__ = ("answer", "never_set")

    def __init__(self, answer):
        self.answer = answer


UNSET = object()


class Held(Client):
    def __init__(self, tenant, kind=list[int], unset=UNSET):
        super().__init__(tenant)
        self.kind = kind
        self.unset = unset


def test_R9_slots_types_and_sentinels_are_told_apart():
    def asked(held):
        return key(InHouse(client=held))

    assert asked(Slotted("a")) == asked(Slotted("a")) != asked(Slotted("b"))
    assert asked(Held("a")) == asked(Held("a"))
    kinds = [Held("a", each) for each in (list[int], list[str], int | str, dict[str, list[int]])]
    assert len({*map(asked, kinds)}) == len(kinds)
    assert asked(Held("a", unset=...)) != asked(Held("a"))
    for unknown in (object(), threading.Lock(), iter([])):
        assert not is_identified(Held("a", unset=unknown))


def test_R9_agents_are_known_by_their_model_their_prompt_and_their_tools():
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    def agent(prompt="Be kind.", answer="hi", tools=(weather,)):
        return chat_model(
            create_agent(FakeListChatModel(responses=[answer]), tools, system_prompt=prompt)
        )

    same = [key(agent(tools=())) for _ in range(2)]
    others = [agent("Be short.", tools=()), agent(answer="ho", tools=()), agent()]
    assert len({*same, *map(key, others)}) == 4
    cache = InMemoryCache()
    for answer in ("hi", "ho", "hi"):
        model = agent(answer=answer, tools=())
        model.cache = cache
        assert model.invoke("x").text == answer
    assert len(cache._cache) == 2
