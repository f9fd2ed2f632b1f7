"""Models that can't do everything, and say so, are not accused; and how they are reached."""

import itertools
import json
import re
import threading
import time
from typing import ClassVar

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import SystemMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import model_validator

from chatwright import chat_model
from chatwright.checks import PointingError, Verdict, check
from faults.controls import Full
from faults.endings import RefusalsAreText
from faults.wire import Answer

NUMBERS = itertools.count()


class RefusesTools(Full):
    def bind_tools(self, tools, **kwargs):
        raise NotImplementedError("handmade-1 knows no tools")

    def with_structured_output(self, schema, **kwargs):
        raise NotImplementedError("handmade-1 knows no schemas")


class RefusesStop(Full):
    def stops(self, stop):
        if stop:
            raise ValueError("stop sequences are not supported")
        return []


class StreamsAsync(Full):
    """It has no `_stream`: core's own gives the whole answer as one message."""

    _stream = BaseChatModel._stream


class OfPrompts(Full):
    """Tools are explained to the LLM in words; the request has none."""

    def payload(self, messages, stop, kwargs):
        hidden = {"tools", "tool_choice", "parallel_tool_calls"}
        if tools := kwargs.get("tools"):
            messages = [SystemMessage(f"You can call: {json.dumps(tools)}"), *messages]
        return super().payload(messages, stop, {k: v for k, v in kwargs.items() if k not in hidden})


class RefusalError(Exception):
    """The LLM refuses."""


class Refusing(Answer):
    def feed(self, event):
        if '"refusal": "' in event:
            raise RefusalError("the LLM refuses to answer")
        yield from super().feed(event)


class RaisesRefusals(Full):
    """A refusal is an error of its own class."""

    reads = Refusing


class RefusesThoughts(Full):
    """A block of reasoning that comes back is refused by name."""

    def payload(self, messages, stop, kwargs):
        for message in messages:
            for block in message.content if isinstance(message.content, list) else ():
                if message.type.startswith(("ai", "AI")) and block["type"] == "reasoning":
                    raise ValueError("content of the type 'reasoning' is not taken")
        return super().payload(messages, stop, kwargs)


class OneImage(Full):
    """A second image, an address, and an image in a tool's result are refused by name."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        images = [
            (each["role"], part["image_url"]["url"])
            for each in made["messages"]
            for part in (each["content"] if isinstance(each["content"], list) else ())
            if part["type"] == "image_url"
        ]
        if len(images) > 1 or any(role == "tool" or "http" in url for role, url in images):
            raise ValueError("one image for each message of the user's, as base64")
        return made


class Cached(Full):
    cache: InMemoryCache | None = InMemoryCache()
    rate_limiter: InMemoryRateLimiter | None = InMemoryRateLimiter(requests_per_second=0.1)


class Numbered(Full):
    """Each request has a number of its own."""

    def payload(self, messages, stop, kwargs):
        return {**super().payload(messages, stop, kwargs), "user": str(next(NUMBERS))}


class Barred(Full):
    """It takes no address with a password."""

    @model_validator(mode="before")
    @classmethod
    def _take_credentials_out_of_the_address(cls, values):
        if "@" in values.get("base_url", ""):
            raise ValueError("base_url: no credentials, please")
        return values


class NamesItsKeyTwice(Full):
    @property
    def lc_secrets(self):
        return {"api_key": "HANDMADE_API_KEY", "handmade_api_key": "HANDMADE_API_KEY"}


class Sampled(Full):
    sampling: dict = {}

    def payload(self, messages, stop, kwargs):
        return {**super().payload(messages, stop, kwargs), **self.sampling}


def sampled(base_url, *, api_key=None, max_retries=2, **sampling):
    """Whatever else it is given is a parameter of requests."""
    return Sampled(base_url=base_url, api_key=api_key, max_retries=max_retries, sampling=sampling)


class ForcesNothing(FakeListChatModel):
    """Its calls can't be forced, and it says so."""

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        if tool_choice not in (None, "auto"):
            raise NotImplementedError("a prompt can't force a call")
        return self.bind()


def around(base_url, *, api_key=None, disable_streaming=False):
    """A model that calls another one, whose runs are children of its own."""
    inner = Full(base_url=base_url, api_key=api_key)
    return chat_model(inner, disable_streaming=disable_streaming)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "only"),
    [
        (RaisesRefusals, ["B7", "M8"]),
        (RefusesThoughts, ["M5"]),
        (OneImage, ["M4"]),
        (RefusesTools, ["T", "O", "S2", "S11", "C8", "M5"]),
        (RefusesStop, ["P", "B5", "B10", "E5"]),
        (StreamsAsync, ["S", "P3", "P6", "M2", "E2", "E4"]),
        (OfPrompts, ["T5", "T6", "T7", "T8", "T9", "T10", "T11", "T14", "C8", "S2"]),
        (Cached, ["B6", "C2", "E1", "K4", "R2", "A3"]),
        (Numbered, ["A2", "K4", "R5", "R6"]),
        (Barred, ["K1"]),
        (NamesItsKeyTwice, ["K3"]),
        (sampled, ["C2"]),
        (RefusalsAreText, ["B7"]),
        (around, ["C1", "C5", "E2", "E4", "K3"]),
    ],
)
def test_an_honest_limit_is_no_failure(model, only):
    report = check(model, only=only)
    assert [(each.rule, each.got) for each in report.of(Verdict.FAIL)] == []


def test_what_is_refused_is_told():
    report = check(RefusesTools, only=["T5", "O3"])
    assert [each.verdict for each in report.findings] == [Verdict.SKIP] * 2
    assert "handmade-1 knows no" in report.findings[0].got
    report = check(RefusesTools, only=["T5"], declare=["tools", "calls"])
    assert report.findings[0].verdict is Verdict.FAIL
    (found,) = check(RefusesStop, only=["P1"]).findings
    assert (found.verdict, found.got) == (
        Verdict.WARN,
        "the model refuses stop sequences: stop sequences are not supported",
    )


def test_a_call_that_can_not_be_forced_is_hoped_for():
    model = ForcesNothing(responses=["fine"])
    report = check(model, only=["T2", "T8"], upstream="none")
    assert [(each.rule, each.verdict, each.got) for each in report.findings] == [
        ("T2", Verdict.WARN, "'any' is refused: NotImplementedError: a prompt can't force a call"),
        ("T8", Verdict.WARN, "text 'fine', calls []"),
    ]


def test_a_model_that_says_it_can_not_be_stored_is_not_accused():
    inner = FakeListChatModel(responses=["fine"])
    (found,) = check(chat_model(inner), only=["K3"], upstream="none").findings
    assert (found.verdict, found.got) == (
        Verdict.SKIP,
        "dumpd says that this model can't be stored",
    )


class Named(Full):
    model: str = "a-name"


def test_an_instance_is_pointed_away_from_its_server():
    instance = Named(base_url="http://127.0.0.1:9/v1", api_key="sk-real", temperature=0.5)
    (found,) = check(instance, only=["B1"]).findings
    assert (found.verdict, found.layer) == (Verdict.PASS, "scripted")


class NeedsMore(Full):
    tenant: str


class Roundabout(Full):
    def request(self, payload):
        return {**super().request(payload), "url": f"{self.base_url}/elsewhere"}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (NeedsMore, {}, "tenant"),
        (NeedsMore, {"upstream": "none"}, "can't be made"),
        (Roundabout, {}, r"asked for /elsewhere below its address"),
        (lambda base_url: Full(base_url=base_url).with_retry(), {}, "RunnableRetry, which is no"),
        (Roundabout(base_url="http://127.0.0.1:9"), {}, "upstream='none'"),
    ],
)
def test_what_can_not_be_reached_is_told(model, options, said):
    with pytest.raises(PointingError) as raised:
        check(model, only=["B1"], **options)
    assert re.search(said, str(raised.value)), raised.value


class HangsOnce(Full):
    """The first call hangs; all calls after it are slow."""

    has_hung: ClassVar[threading.Event] = threading.Event()

    def payload(self, messages, stop, kwargs):
        if not self.has_hung.is_set():
            self.has_hung.set()
            time.sleep(8)
        elif self.has_hung.is_set():
            time.sleep(3)
        return super().payload(messages, stop, kwargs)


def test_what_a_hanging_call_makes_slow_is_not_accused_again():
    HangsOnce.has_hung.clear()
    hung, *after = check(HangsOnce, only=["B1", "K3", "R2"], timeout=4).findings
    assert hung.verdict is Verdict.FAIL
    assert "it had not ended after" in hung.got
    assert [each.verdict for each in after] == [Verdict.SKIP] * 2
    assert all("a call hung before" in each.got for each in after)


def test_a_slow_model_may_be_given_time():
    with pytest.raises(ValueError, match="timeout=0: it is more than 0 seconds"):
        check(Full, only=["B1"], timeout=0)
