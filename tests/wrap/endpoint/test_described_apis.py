"""Endpoint files for APIs of three makers, against servers that refuse what theirs refuse."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from chatwright import ChatEndpoint, EngineError, InvalidRequestError, OutputError, load
from chatwright.testing import Refuse
from contract.subjects import serving, upstream

GEMINI = """
url = "URL/v1beta"
model = "gemini"

[request]
path = "/models/${model}:generateContent"
message = { role = "${role}", parts = [{ text = "${text}" }] }
roles = { assistant = "model" }
key_header = "x-goog-api-key"
key_prefix = ""

[request.body]
systemInstruction = { parts = [{ text = "${system}" }] }
contents = "${messages}"
generationConfig = { temperature = "${temperature}", maxOutputTokens = "${max_tokens}" }

[response]
text = "candidates[0].content.parts[].text"
finish_reason = "candidates[0].finishReason"

[response.usage]
input_tokens = "usageMetadata.promptTokenCount"
output_tokens = "usageMetadata.candidatesTokenCount"
"""
COHERE = """
url = "URL/v1"
model = "command"

[request]
path = "/chat"
message = { role = "${role}", message = "${text}" }
roles = { user = "USER", assistant = "CHATBOT" }

[request.body]
model = "${model}"
message = "${last}"
chat_history = "${messages}"
preamble = "${system}"
temperature = "${temperature}"
stream = "${stream}"

[response]
framing = "ndjson"
text = "text"
done = "is_finished"
finish_reason = "finish_reason"
"""
ANTHROPIC = """
url = "URL/v1"
model = "claude"
max_tokens = 9
headers = { anthropic-version = "2023-06-01" }

[request]
path = "/messages"
message = { role = "${role}", content = "${text}" }
key_header = "x-api-key"
key_prefix = ""

[request.body]
model = "${model}"
system = "${system}"
messages = "${messages}"
max_tokens = "${max_tokens}"
stream = "${stream}"

[response]
framing = "sse"
text = "delta.text"
finish_reason = "delta.stop_reason"
"""
PROMPT = """
url = "URL/api"

[request]
path = "/generate"
body = { prompt = "${prompt}", system = "${system}" }

[response]
text = "response"
"""
TALK = [SystemMessage("Be kind."), HumanMessage("hi"), AIMessage("yes?"), HumanMessage("go")]


def gemini(body):
    """https://ai.google.dev/api/generate-content."""
    assert body.keys() <= {"contents", "systemInstruction", "generationConfig"}
    contents = body["contents"]
    assert contents
    for each in [*contents, *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        assert each["parts"]
        assert all(part.get("text") for part in each["parts"])
    assert all(each["role"] in {"user", "model"} for each in contents)
    said = {"content": {"role": "model", "parts": [{"text": "o"}, {"text": "k"}]}}
    return json.dumps(
        {
            "candidates": [{**said, "finishReason": "MAX_TOKENS"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        }
    )


def cohere(body):
    """https://docs.cohere.com/v1/reference/chat."""
    assert isinstance(body["message"], str)
    assert body["message"]
    assert body.get("preamble", "x")
    for each in body["chat_history"]:
        assert each.keys() == {"role", "message"}
        assert each["role"] in {"CHATBOT", "SYSTEM", "USER"}
    assert "temperature" not in body
    events = [
        {"is_finished": False, "event_type": "stream-start"},
        {"is_finished": False, "event_type": "text-generation", "text": "o"},
        {"is_finished": False, "event_type": "text-generation", "text": "k"},
        {
            "is_finished": True,
            "event_type": "stream-end",
            "finish_reason": "MAX_TOKENS",
            "response": {"text": "ok"},
        },
    ]
    return "".join(json.dumps(each) + "\n" for each in events)


def anthropic(body):
    """https://docs.anthropic.com/en/api/messages."""
    assert body["max_tokens"] > 0
    assert body.get("system", "x")
    assert body["messages"][0]["role"] == "user"
    assert all(each["role"] in {"user", "assistant"} for each in body["messages"])
    assert all(each["content"] for each in body["messages"])
    events = [
        {"type": "message_start", "message": {"content": [], "stop_reason": None}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "o"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "k"}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)


APIS = {"Gemini": (GEMINI, gemini), "Cohere": (COHERE, cohere), "Anthropic": (ANTHROPIC, anthropic)}


@pytest.fixture
def loaded(tmp_path):
    def load_file(text, reply):
        """Return the model of a file, whose server answers a body by `reply`."""

        def script(received):
            try:
                return [Refuse(200, body=reply(received.body).encode())]
            except (AssertionError, KeyError) as refused:
                return [Refuse(400, f"refused: {refused}")]

        path = tmp_path / "api.toml"
        path.write_text(text.replace("URL", serving(script)))
        return load(str(path), max_retries=0, api_key="key-1")

    return load_file


@pytest.mark.parametrize(("text", "server"), APIS.values(), ids=APIS)
@pytest.mark.parametrize("messages", [TALK, TALK[1:], TALK[:2], "go"])
def test_what_is_sent_is_what_is_taken(loaded, text, server, messages):
    answer = loaded(text, server).invoke(messages)
    assert answer.text == "ok"
    assert answer.response_metadata["normalized_finish_reason"] == "length"


@pytest.mark.parametrize(("text", "server"), APIS.values(), ids=APIS)
def test_each_message_is_said_once(loaded, text, server):
    loaded(text, server).invoke(TALK)
    sent = json.dumps(upstream().requests[-1].body)
    assert [sent.count(f'"{each.text}"') for each in TALK] == [1, 1, 1, 1]


def test_a_server_that_refuses_is_told_apart(loaded):
    wrong = GEMINI.replace('roles = { assistant = "model" }', "")
    with pytest.raises(InvalidRequestError, match="refused"):
        loaded(wrong, gemini).invoke(TALK)


def test_what_is_left_empty_is_left_out_wholly(loaded):
    loaded(GEMINI, gemini).invoke("hi")
    body = upstream().requests[-1].body
    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_a_prompt_leaves_out_what_stands_beside_it(loaded):
    loaded(PROMPT, lambda _: '{"response": "ok"}').invoke(TALK[:2])
    assert upstream().requests[-1].body == {"prompt": "hi\n", "system": "Be kind."}


PLACES = {
    "json": ("candidates[0].content.parts[].text", "candidate[0].text", '{"candidates": []}'),
    "ndjson": ("text", "txt", '{"is_finished": true, "finish_reason": "COMPLETE"}'),
    "sse": ("delta.text", "delta.txt", 'data: {"delta": {"stop_reason": "end_turn"}}\n\n'),
}


@pytest.mark.parametrize(("text", "server"), APIS.values(), ids=APIS)
def test_a_path_that_never_matches_is_an_error_that_shows_what_came(loaded, text, server):
    for right, wrong, nothing in PLACES.values():
        if f'text = "{right}"' not in text:
            continue
        with pytest.raises(OutputError) as caught:
            loaded(text.replace(f'text = "{right}"', f'text = "{wrong}"'), ending(server)).invoke(
                "x"
            )
        assert repr(wrong) in str(caught.value)
        with pytest.raises(OutputError) as caught:
            loaded(text, lambda _, nothing=nothing: nothing).invoke("x")
        assert repr(right) in str(caught.value)
        assert nothing[-10:-4] in str(caught.value)


def ending(server):
    """Return a server whose answers end by themselves, and are not cut."""
    names = {"MAX_TOKENS": "STOP", "max_tokens": "end_turn"}

    def whole(body):
        said = server(body)
        for cut, ended in names.items():
            said = said.replace(f'"{cut}"', f'"{ended}"')
        return said

    return whole


@pytest.mark.parametrize(("text", "server"), APIS.values(), ids=APIS)
@pytest.mark.parametrize(
    "report", [{"error": {"message": "WORDS"}}, {"message": "WORDS"}, {"detail": "WORDS"}]
)
def test_a_servers_error_is_told_in_its_words(loaded, text, server, report):
    with pytest.raises((EngineError, OutputError), match="WORDS"):
        loaded(text, lambda _: json.dumps(report)).invoke("x")


def test_an_answer_that_was_blocked_is_empty_and_says_why(loaded):
    answer = loaded(GEMINI, lambda _: '{"candidates": [{"finishReason": "SAFETY"}]}').invoke("hi")
    assert answer.text == ""
    assert answer.response_metadata["normalized_finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    ("reason", "normalized"),
    [
        ("STOP", "stop"),
        ("COMPLETE", "stop"),
        ("MAX_TOKENS", "length"),
        ("maxTokens", "length"),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ("content-filter", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("ERROR_TOXIC", "content_filter"),
    ],
)
def test_finish_reasons_are_normalized(loaded, reason, normalized):
    said = {"content": {"parts": [{"text": "a"}]}, "finishReason": reason}
    answer = loaded(GEMINI, lambda _: json.dumps({"candidates": [said]})).invoke("hi")
    assert answer.response_metadata["finish_reason"] == reason
    assert answer.response_metadata["normalized_finish_reason"] == normalized


def test_a_cohere_error_is_one(loaded):
    last = '{"is_finished": true, "text": "a", "finish_reason": "ERROR"}'
    with pytest.raises(EngineError, match="could not finish"):
        loaded(COHERE, lambda _: last).invoke("hi")


def test_a_path_need_not_be_in_a_file():
    wire = {"request": {"body": {"q": "${last}"}}, "response": {"text": "answer"}}
    url = serving(lambda _: [Refuse(200, body=b'{"answer": ""}')])
    assert ChatEndpoint(url, model="m", wire=wire).invoke("hi").text == ""
