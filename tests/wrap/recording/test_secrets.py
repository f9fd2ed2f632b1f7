"""No secret gets into a cassette, wherever it is held and however it comes out."""

import base64
import functools
import json
import sys
import threading
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from chatwright import (
    Block,
    Capabilities,
    ChatEndpoint,
    Finish,
    OAuth2ClientCredentials,
    Reasoning,
    Refusal,
    SourceError,
    Text,
    ToolCallDelta,
    Usage,
    chat_model,
    recorded,
)
from chatwright.testing import Raise, Refuse, ScriptedModel, Upstream
from chatwright.wrap.recording.deltas import hidden
from chatwright.wrap.recording.secrets import Secrets, is_secret

KEY = "sk-Very/Secret+Key=2026"
FORMS = [KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1], base64.b64encode(KEY.encode()).decode()]
GLOBAL_API_KEY = KEY


def kept(path):
    text = path.read_text()
    assert text
    return text


def assert_hidden(path):
    text = kept(path)
    for form in FORMS:
        assert form not in text
    assert KEY not in "".join(_strings(json.loads(line) for line in text.splitlines()))


def _strings(values):
    """Return all texts in JSON, also those that pieces make up."""
    for each in values:
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict | list):
            yield from _strings(each.values() if isinstance(each, dict) else each)


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "c.jsonl"


def everywhere(key):
    """Return a script that says a key in all that an answer has."""
    half, other = key[:9], key[9:]
    return [
        *("see ", half, other, Text(f" {key}!")),
        *(Reasoning(half), Reasoning(other), Reasoning(key)),
        *(Refusal(key[:3]), Refusal(key[3:])),
        Block({"type": "image", "url": f"https://u:{key}@x/?key={key}"}),
        ToolCallDelta(0, "c1", "f", '{"a": "' + half),
        ToolCallDelta(0, args=other + '"}'),
        ToolCallDelta(1, "c2", "g", {"a": [key]}),
        Usage(1, 1),
        Finish("stop", {"headers": {"set-cookie": key}, "said": quote(key)}, {"x": {key: key}}),
    ]


class Keyed(ScriptedModel):
    key: SecretStr = SecretStr(KEY)


def test_a_secret_in_any_part_of_an_answer_is_hidden(tape):
    model = Keyed(script=everywhere(KEY), can=Capabilities(tools=True))
    live = recorded(model, tape).invoke("hi")
    assert KEY in live.text  # the caller gets what was said
    assert_hidden(tape)
    again = recorded(model, tape).invoke("hi")
    assert again.text == live.text.replace(KEY, "***")


def holders():
    def closing(token=KEY):
        secret = KEY
        return lambda messages: secret[:0] + "ok" + KEY[:0] + token[:0]

    def bare(messages, password=KEY):
        return "ok"

    def global_(messages):
        return "ok" + GLOBAL_API_KEY[:0]

    def keyed(messages, headers=None):
        return "ok"

    yield "a default", bare, {}
    yield "a partial", functools.partial(bare, password=KEY), {}
    yield "a global", global_, {}
    yield "a parameter", chat_model(lambda messages, access_token="": "ok"), {"access_token": KEY}
    yield "a header", keyed, {"headers": {"X-Anything": KEY}}
    yield "a secret header", keyed, {"headers": {"X-Anything": SecretStr(KEY)}}
    yield "a model's field", Keyed(script=["ok"]), {}
    yield "an inner model's", Keyed(script=["ok"]).with_retry(), {}
    yield "an api_key", ScriptedModel(script=["ok"], api_key=KEY), {}


@pytest.mark.parametrize(
    ("model", "given"), [each[1:] for each in holders()], ids=[each[0] for each in holders()]
)
def test_a_secret_is_found_wherever_it_is_held(tape, model, given):
    try:
        made = recorded(model, tape)
    except Exception as error:  # with_retry makes a chain of a model
        pytest.fail(str(error))
    made.invoke(f"my key is {KEY}", **given)
    assert_hidden(tape)
    assert recorded(model, tape).invoke(f"my key is {KEY}", **given).text == "ok"


def test_a_secret_of_the_environment_is_found(tape, monkeypatch):
    monkeypatch.setenv("ACME_API_TOKEN", KEY)
    recorded(ScriptedModel(script=[KEY]), tape).invoke(f"hi {KEY}")
    assert_hidden(tape)


class Failing(BaseChatModel):
    """Fails as clients do that tell all that they have sent."""

    openai_api_key: SecretStr = SecretStr(KEY)
    base_url: str = f"https://user:{KEY}@host.example/v1?sig=abcdefgh"
    http_headers: dict = {"X-Acme": "another-secret"}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        error = ValueError(f"401 for {self.base_url}: Bearer {KEY}, another-secret, abcdefgh")
        error.request = {"headers": {"Authorization": f"Bearer {KEY}", "X-Acme": "another-secret"}}
        error.body = {"api_key": "never-seen-before", "message": f"bad key {KEY}"}
        raise error

    @property
    def _llm_type(self):
        return "failing"


def test_errors_tell_no_secret(tape):
    with pytest.raises(ValueError, match="401"):
        recorded(Failing(), tape).invoke("hi")
    assert_hidden(tape)
    for each in ("another-secret", "abcdefgh", "never-seen-before"):
        assert each not in kept(tape)
    with pytest.raises(ValueError, match="401 for https://"):
        recorded(Failing(), tape).invoke("hi")


def test_credentials_that_show_themselves_are_hidden_in_errors(tape):
    said = "proxy http://me:hunter22@proxy:1 said: Authorization: Basic bWU6aHVudGVyMjI="
    with pytest.raises(SourceError):
        recorded(ScriptedModel(script=[Raise(SourceError(said))]), tape).invoke("hi")
    assert "hunter22" not in kept(tape)
    assert "bWU6aHVudGVyMjI" not in kept(tape)


def test_a_server_that_repeats_the_key(tape):
    with Upstream(script=[Refuse(401, f"wrong key {KEY}")]) as server:
        fields = {"api_key": KEY, "max_retries": 0, "model": "m"}
        endpoint = ChatEndpoint(server.url + "/v1", **fields)
        openai = ChatOpenAI(base_url=server.url + "/v1", **fields)
        for model in (endpoint, openai):
            with pytest.raises(Exception, match="wrong key"):
                recorded(model, tape, mode="all").invoke("hi")
            assert_hidden(tape)


def test_what_an_endpoint_holds_is_found():
    auth = OAuth2ClientCredentials(
        token_url="http://x", client_id="me", client_secret="client-secret-1"
    )
    auth._token = "token-of-today"
    model = ChatEndpoint(
        "http://me:pass-word-1@x/v1?key=query-key-1",
        headers={"X-Acme": "header-1"},
        proxy="http://me:proxy-word-1@y:1",
    )
    other = ChatEndpoint("http://x/v1", auth=auth)
    secrets = Secrets(model, other)
    for each in (
        *("pass-word-1", "query-key-1", "header-1", "proxy-word-1", "client-secret-1"),
        "token-of-today",
    ):
        assert secrets.hide(f"it is {each}.") == "it is ***."


def test_another_key_finds_what_was_recorded(tape):
    recorded(Keyed(script=["ok"], key=KEY), tape).invoke("this is a test key")
    for key in ("test", "this", "another-key", KEY):
        model = Keyed(script=[], key=key)
        assert recorded(model, tape, mode="none").invoke("this is a test key").text == "ok"


def test_what_is_said_is_kept_whatever_it_looks_like(tape):
    schema = {"headers": {"type": "string"}, "token": {"type": "string", "default": "secret-x"}}
    parameters = {"type": "object", "properties": schema}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}

    @chat_model
    def model(messages, tools=None):
        url = "postgres://user:password@localhost/db"
        yield f"Use {url}"
        yield ToolCallDelta(0, "c", "f", '{"password": "hunter2", "header": "Bearer abcdefgh"}')
        yield Block({"type": "image", "url": url})
        yield Finish("stop", {}, {"tool_call_extras": {"c": {"token": "opaque"}}})

    live = recorded(model, tape).invoke("hi", tools=[tool])
    again = recorded(model, tape, mode="none").invoke("hi", tools=[tool])
    assert again.content == live.content
    assert again.tool_calls == live.tool_calls
    assert again.additional_kwargs == live.additional_kwargs
    assert '"headers": {"type": "string"}' in kept(tape)


def test_what_describes_a_secret_is_none():
    properties = {"api_key": {"type": "string"}, "headers": {"X": "string"}}
    tool = {"function": {"parameters": {"properties": properties}}}
    auth = {"auth": {"type": "bearer-of-news", "value": KEY}}
    assert Secrets({"held": [tool]}, auth).shown(f"string bearer-of-news {KEY}") == (
        "string bearer-of-news ***"
    )


def test_what_stands_for_a_key_is_no_secret(tape):
    recorded(Keyed(script=["ok"], key="test"), tape).invoke("this is a test")
    assert "this is a test" in kept(tape)


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "X-Api-Key", "openai_api_key", "OPENAI_API_KEY", "access_token"),
        *("token", "authorization", "Proxy-Authorization", "password", "client_secret"),
        *("Cookie", "_auth_header", "aws_secret_access_key", "secretValue", "private_key"),
    ],
)
def test_names_of_secrets(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "max_tokens", "cache_key", "key", "eos_token", "output_tokens", "author", "content"),
        *("prompt_cache_key", "signature", "tool_choice", "custom_id", "monkey", "keyword"),
    ],
)
def test_names_of_what_is_no_secret(name):
    assert not is_secret(name)


def test_pieces_of_text_that_are_called_tokens_are_kept(tape):
    told = {"logprobs": {"content": [{"token": "Hel", "logprob": -0.1}]}}
    recorded(ScriptedModel(script=["Hel", Finish("stop", told)]), tape).invoke("hi")
    again = recorded(ScriptedModel(script=[]), tape).invoke("hi")
    assert again.response_metadata["logprobs"] == told["logprobs"]


@given(st.data())
def test_a_secret_that_comes_in_any_pieces_is_hidden(data):
    text = data.draw(st.lists(st.sampled_from([KEY, "a", " b", KEY[:5], KEY[5:], "é😀"])))
    whole = "".join(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    made = hidden(pieces, Secrets({"api_key": KEY}))
    assert len(made) == len(pieces)
    assert "".join(made) == whole.replace(KEY, "***")


def test_a_model_that_holds_itself_is_no_endless_search():
    class Ring(BaseChatModel):
        me: object = None
        api_key: str = KEY

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            return ChatResult(generations=[ChatGeneration(message=AIMessage("ok"))])

        @property
        def _llm_type(self):
            return "ring"

    ring = Ring()
    ring.me = [ring]
    assert Secrets(ring).shown(KEY) == "***"


def test_what_others_change_meanwhile_can_be_searched():
    class Busy(BaseModel):
        tasks: set = set(range(100))
        named: dict = {n: n for n in range(100)}
        api_key: str = KEY

    busy, done = Busy(), threading.Event()

    def change():
        n = 1000
        while not done.is_set():
            n += 1
            busy.tasks ^= {n, n - 7}
            busy.named[n] = busy.named.pop(n - 1, 0)
            busy.__dict__[f"x{n % 5}"] = busy.__dict__.pop(f"x{(n + 1) % 5}", 0)

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(100):
            assert Secrets(busy).shown(KEY) == "***"
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
