"""Endpoint files."""

import json
import pickle

import pytest
from langchain_core.load import dumpd
from langchain_core.load import load as load_again

from chatwright import (
    ChatEndpoint,
    EngineError,
    LoadError,
    OutputError,
    SourceConnectionError,
    endpoint_fields,
    load,
)
from chatwright.testing import Bytes, Cut, Upstream
from contract.subjects import MODES

OWN = """\
url = "{url}/v2/complete"     # ten lines, no code
model = "acme-1"
headers = {{ "X-Team" = "red" }}

[request]
body = {{ prompt = "${{prompt}}", limit = "${{max_tokens}}", who = "${{model}}" }}

[response]
framing = "ndjson"
text = "text"
done = "done"
"""


@pytest.fixture
def server():
    with Upstream(["Hel", "lo"]) as upstream:
        yield upstream


@pytest.fixture
def written(tmp_path, server):
    def write(text, **values):
        path = tmp_path / "acme.toml"
        path.write_text(text.format(url=server.url, **values))
        return str(path)

    return write


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_ten_lines_make_a_chat_model(written, server, mode):
    model = load(written(OWN), max_tokens=7)
    assert (await mode(model, "Say hello.")).text == "Hello"
    (received,) = server.requests
    assert received.path == "/v2/complete"
    assert received.headers["x-team"] == "red"
    assert received.body == {"prompt": "Say hello.\n", "limit": 7, "who": "acme-1"}


def test_a_value_that_is_not_set_is_left_out(written, server):
    load(written(OWN)).invoke("x")
    assert server.requests[0].body == {"prompt": "x\n", "who": "acme-1"}


def test_a_wire_with_quirks_is_a_file_too(written, server):
    path = written(
        'url = "{url}/v1"\nmodel = "m"\nwire = "openai"\ntemperature = 0.5\n[quirks]\n'
        'tools = false\nmax_tokens = "max_completion_tokens"\n'
    )
    model = load(path, max_tokens=3)
    assert isinstance(model, ChatEndpoint)
    assert model.invoke("x").text == "Hello"
    body = server.requests[0].body
    assert (body["temperature"], body["max_completion_tokens"]) == (0.5, 3)
    assert not model.capabilities().tools


def test_such_a_model_pickles_and_loads(written):
    model = load(written(OWN))
    assert pickle.loads(pickle.dumps(model)).invoke("x").text == "Hello"
    again = load_again(
        dumpd(model), allowed_objects=[ChatEndpoint], valid_namespaces=["chatwright"]
    )
    assert again.invoke("x").text == "Hello"


EVERYTHING = """\
url = "{url}/talk"
model = "big one"

[request]
path = "/${{model}}"
message = {{ by = "${{role}}", what = "${{content}}", id = "${{tool_call_id}}" }}
roles = {{ user = "human", assistant = "bot" }}
parameters = {{ style = "plain" }}
key_header = "X-Key"
key_prefix = "Key "

[request.body]
talk = "${{messages}}"
sys = "${{system}}"
last = "asked: ${{last}}"
tools = "${{tools}}"
t = "$$"
style = "${{style}}"
choice = "${{tool_choice}}"

[response]
framing = "sse"
text = "delta.text"
reasoning = "delta.thought"
tool_calls = "calls[].{{name: fn, arguments: args, id: id}}"
finish_reason = "why"
error = "problem"

[response.usage]
input_tokens = "used.in"
output_tokens = "used.out"
cache_read = "used.cached"
"""


def events(*payloads):
    return [Bytes(f"data: {json.dumps(each)}\n\n".encode()) for each in payloads] + [
        Cut(politely=True)
    ]


def test_everything_that_a_file_can_say(written, server):
    server.script = events(
        {"delta": {"thought": "hm"}},
        {"delta": {"text": "A"}},
        {"calls": [{"fn": "look", "args": {"x": 1}, "id": "c9"}]},
        {"why": "end_turn", "used": {"in": 5, "out": 6, "cached": 2}},
    )
    model = load(written(EVERYTHING), api_key="k-123456")

    def look(x: int) -> str:
        """Looks."""

    bound = model.bind_tools([look], tool_choice="required").bind(style="bold")
    answer = bound.invoke([("system", "Be."), ("human", "hi"), ("ai", "ho"), ("human", "so?")])
    (received,) = server.requests
    assert received.path == "/talk/big%20one"
    assert received.headers["x-key"] == "Key k-123456"
    body = received.body
    assert body["talk"] == [{"by": "human", "what": "hi"}, {"by": "bot", "what": "ho"}]
    assert (body["sys"], body["last"], body["t"], body["style"]) == (
        "Be.",
        "asked: so?",
        "$",
        "bold",
    )
    assert body["tools"][0]["function"]["name"] == "look"
    assert body["choice"] == "required"
    assert answer.text == "A"
    assert answer.additional_kwargs["reasoning_content"] == "hm"
    assert answer.tool_calls[0]["args"] == {"x": 1}
    assert answer.tool_calls[0]["id"] == "c9"
    assert answer.usage_metadata["input_token_details"] == {"cache_read": 2}
    assert answer.usage_metadata["total_tokens"] == 11
    assert answer.response_metadata["finish_reason"] == "tool_calls"


def test_a_reported_failure_is_raised(written, server):
    server.script = events({"problem": {"message": "tired", "code": 503}})
    with pytest.raises(EngineError, match="tired"):
        load(written(EVERYTHING), max_retries=0).invoke("x")


FRAMED = """\
url = "{url}/x"
[request]
body = {{ q = "${{last}}" }}
[response]
framing = "{framing}"
"""


def test_raw_text_is_read_as_it_comes(written, server):
    server.script = [Bytes(b"Hel"), Bytes("l\u00f6".encode()), Cut(politely=True)]
    assert load(written(FRAMED, framing="text")).invoke("x").text == "Hell\u00f6"


def test_whole_json_is_read_at_its_end(written, server):
    server.script = [Bytes(b'{"out": '), Bytes(b'"Hello"}'), Cut(politely=True)]
    model = load(written(FRAMED + 'text = "out"\n', framing="json"))
    assert model.invoke("x").text == "Hello"


def test_cumulative_text_is_told_apart(written, server):
    path = written(FRAMED + 'text = "t"\ncumulative = true\n', framing="sse")
    server.script = events({"t": "He"}, {"t": "Hello"}, {"t": "Hello"})
    assert [each.text for each in load(path).stream("x")] == ["He", "llo", ""]
    server.script = events({"t": "He"}, {"t": "Ho"})
    with pytest.raises(OutputError, match="is 'cumulative' right"):
        load(path).invoke("x")


def test_a_marked_end_that_is_missing_is_a_lost_peer(written, server):
    server.script = [Bytes(b'{"text": "Hel"}\n'), Cut(politely=True)]
    with pytest.raises(SourceConnectionError):
        load(written(OWN), max_retries=0).invoke("x")


def test_a_path_that_does_not_fit_is_an_error_that_names_it(written, server):
    server.script = events({"t": {"deep": 1}})
    with pytest.raises(OutputError, match="'t' leads to an object"):
        load(written(FRAMED + 'text = "t"\n', framing="sse")).invoke("x")


def test_the_environment_fills_in(written, server, monkeypatch):
    path = written('url = "${{env:ACME_URL}}/v1"\nkey_env = "ACME_KEY"\nmodel = "m"\n')
    monkeypatch.setenv("ACME_URL", server.url)
    with pytest.raises(LoadError, match=r"acme\.toml:2: key_env: .*ACME_KEY is not set"):
        load(path)
    monkeypatch.setenv("ACME_KEY", "k-7")
    load(path).invoke("x")
    assert server.requests[0].headers["authorization"] == "Bearer k-7"
    monkeypatch.delenv("ACME_URL")
    with pytest.raises(LoadError, match=r"acme\.toml:1: url: .*ACME_URL is not set"):
        load(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("url = \nx", "is no TOML: .*line 1"),
        ("model = 'm'", "1: url: the URL is missing"),
        ("url = 'ftp://x'", "base_url has to begin with http"),
        ("url = 'http://x'\n\nwyre = 'openai'", "3: wyre: there is no such field"),
        ("url = 'http://x'\nwire = 'grpc'", "2: wire: there is no wire 'grpc'"),
        ("url = 'http://x'\n[quirks]\n\ntolls = true", "4: quirks.tolls: Extra inputs"),
        ("url = 'http://x'\n[quirks]\nstop = 'eaten'", "3: quirks.stop: Input should be"),
        ("url = 'http://x'\ntimeout = -1", "2: timeout: Input should be greater than 0"),
        ("url = 'http://x'\n[request]\nbody = {{}}", "response: Field required"),
        (
            "url = 'http://x'\n[request]\nbody = {{a = '${{tmp}}'}}\n[response]\ntext = 'a'",
            r"2: request: body names \$\{tmp\}, which is not there",
        ),
        (
            "url = 'http://x'\n[request]\nbody = {{}}\n[response]\ntext = 'a['",
            r"5: response.text: 'a\[' is no JMESPath",
        ),
        (
            "url = 'http://x'\n[request]\nbody = {{}}\nprompt = 'latin'\n[response]\ntext = 'a'",
            "4: request.prompt.*there is no transcript 'latin'",
        ),
        (
            "url = 'http://x'\n[request]\nbody = {{}}\n[response]\nframing = 'json'",
            "4: response: text says where the text stands",
        ),
        (
            "url = 'http://x'\nwire = 'openai'\n[request]\nbody = {{}}\n[response]\ntext = 'a'",
            "2: wire: give a wire's name, or the tables",
        ),
        ("url = 'http://x'\n[oauth]\nclient_id = 'x'", "2: oauth.token_url: Field required"),
        ("url = 'http://x'\nmodel_kwargs = 1", "2: model_kwargs: model_kwargs is extra_body here"),
        ("url = 'http://x'\napi_key = 'k'", "2: api_key: there is no such key.*key_env"),
        ("url = 'http://x'\nbase_url = 'http://y'", "2: base_url: there is no such key"),
        ("url = 'http://x'\nkey_env = 3", "2: key_env: the environment variable 3"),
        ("url = 'http://x:abc'", "has to name a port"),
        ("url = 'http://x?a=1'\nquery = 'a'", "2: query: Input should be a valid dict"),
        ("url = 'http://x'\nstop = ['']", "can't end an answer"),
        (
            "url = 'http://x'\n[request]\nbody = {{a = '${{env:HOME}}'}}\n[response]\ntext = 'a'",
            r"3: request.body.*a key is \$\{key\}",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_key(written, text, problem):
    with pytest.raises(LoadError, match=rf"(?s)acme\.toml.*{problem}"):
        load(written(text))


def test_a_wrong_key_in_a_table_is_the_only_one_named(written):
    with pytest.raises(LoadError) as caught:
        load(written(OWN + "foo = 1\n"))
    (line,) = str(caught.value).splitlines()
    assert "response.foo" in line


def test_a_key_may_stand_in_the_body_and_is_not_shown(written, server):
    path = written(
        'url = "{url}/x"\nmodel = "m"\n[request]\nkey_header = ""\n'
        'body = {{ token = "${{key}}", q = "${{last}}" }}\n[response]\nframing = "ndjson"\n'
        'text = "text"\ndone = "done"\n'
    )
    model = load(path, api_key="pa$$w-${{x}}")
    assert model.invoke("hi").text == "Hello"
    assert server.requests[0].body == {"token": "pa$$w-${{x}}", "q": "hi"}
    assert "authorization" not in server.requests[0].headers
    shown = f"{model!r}{model.explain('hi')}{model._get_llm_string()}"
    assert "pa$$w" not in shown
    assert model.explain("hi")["body"]["token"] == "***"


def test_an_end_marker_of_its_own_ends_the_answer(written, server):
    path = written(FRAMED + 'text = "t"\ndone_marker = "END"\n', framing="sse")
    server.script = [Bytes(b'data: {"t": "Hi"}\n\ndata: END\n\n'), Cut(politely=True)]
    assert load(path).invoke("x").text == "Hi"
    server.script = [Bytes(b'data: {"t": "Hi"}\n\n'), Cut(politely=True)]
    with pytest.raises(SourceConnectionError):
        load(path, max_retries=0).invoke("x")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LoadError, match=r"nowhere\.toml can't be read: No such file"):
        load(str(tmp_path / "nowhere.toml"))


def test_oauth_comes_from_a_file(written):
    model = load(
        written(
            'url = "{url}/v1"\n[oauth]\ntoken_url = "http://t/x"\nclient_id = "me"\n'
            'client_secret = "s3cret-s3cret"\n'
        )
    )
    assert model.auth.client_id == "me"
    assert "s3cret" not in repr(model)


def test_explain_shows_the_request_with_its_secrets_masked(written, server):
    explained = load(written(OWN), api_key="k-123456").explain("hello")
    assert explained == {
        "method": "POST",
        "url": f"{server.url}/v2/complete",
        "headers": {
            "Content-Type": "application/json",
            "X-Team": "***",
            "Authorization": "***",
        },
        "body": {"prompt": "hello\n", "who": "acme-1"},
    }


def test_a_class_of_a_file_needs_no_variable_of_what_it_is_given(tmp_path):
    path = tmp_path / "acme.toml"
    path.write_text(
        'url = "${env:ACME_URL}"\nmodel = "acme-1"\nkey_env = "ACME_KEY"\ntop_p = 0.5\n'
    )
    given = {"base_url": "http://here.example", "api_key": "k", "model": "acme-2"}
    model = ChatEndpoint(**endpoint_fields(path, environment={}, **given))
    assert (model.base_url, model.model_name, model.top_p) == ("http://here.example", "acme-2", 0.5)
    with pytest.raises(LoadError, match=r"acme.toml:1: url: .*ACME_URL is not set"):
        endpoint_fields(path, environment={"ACME_KEY": "k"})
    with pytest.raises(LoadError, match=r"acme.toml:3: key_env: .*ACME_KEY is not set"):
        endpoint_fields(path, environment={}, base_url="http://here.example")
