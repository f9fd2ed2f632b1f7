"""`probe_curl`: from a curl command to a model, against six made-up servers."""

import json

import pytest

from chatwright import LoadError
from chatwright.testing import Refuse, Upstream
from chatwright.wrap.endpoint.curl.command import command
from chatwright.wrap.endpoint.curl.heard import Heard
from chatwright.wrap.endpoint.curl.learn import probe_curl, says_hello
from chatwright.wrap.endpoint.file import endpoint_file
from wrap.endpoint.made_up import COUNTED, KEY, answer_to, as_json, serving, words


def plain_json(path, headers, body):
    """One prompt; the key in a header of its own; a system message and parameters."""
    if headers.get("x-api-key") != KEY:
        return as_json({"error": "who are you"}, 401)
    if not body.get("question"):
        return as_json({"error": {"text": "question is missing"}})
    said = answer_to(body["question"])
    used = {"tokens_in": 3, "tokens_out": len(words(said))}
    return as_json({"id": "r1", "result": {"answer": said, "stop_reason": "end"}, "usage": used})


def in_events(path, headers, body):
    """Messages, streamed as events where `stream` says so, with a mark of its own at the end."""
    said = answer_to(body["messages"][-1]["content"])
    if body.get("messages")[-1]["role"] != "user" or headers["authorization"] != f"Bearer {KEY}":
        return as_json({"oops": 1}, 400)
    if not body.get("stream"):
        return as_json({"message": {"text": said}, "finish_reason": "stop"})
    events = [{"delta": {"text": each}} for each in words(said)]
    lines = [f"data: {json.dumps(each)}\n\n".encode() for each in events]
    return (
        200,
        "text/event-stream",
        [*lines, b'data: {"finish_reason": "stop"}\n\n', b"data: END\n\n"],
    )


def in_lines(path, headers, body):
    """Messages as humans and bots have them, no system; answers in lines of JSON."""
    roles = [each["speaker"] for each in body["dialog"]]
    if set(roles) - {"Human", "Bot"}:
        return as_json({"error": f"unknown speaker: {roles}"}, 422)
    said = answer_to(body["dialog"][-1]["utterance"])
    lines = [{"token": each, "thinking": "", "done": False} for each in words(said)]
    lines[0]["thinking"] = "let me see"
    lines.append(
        {"token": "", "thinking": "", "done": True, "prompt_eval_count": 4, "eval_count": 9}
    )
    return 200, "application/x-ndjson", [json.dumps(each).encode() + b"\n" for each in lines]


def cumulative(path, headers, body):
    """Each event holds all of the text so far; the key is in the body."""
    if body.get("token") != KEY:
        return as_json({"error": "who are you"}, 403)
    said = words(answer_to(body["params"]["query"]))
    so_far = ["".join(said[: n + 1]) for n in range(len(said))]
    events = [{"output": {"text": each, "finish": None}} for each in so_far]
    events[-1]["output"]["finish"] = "stop"
    return 200, "text/event-stream", [f"data:{json.dumps(each)}\n\n".encode() for each in events]


def one_prompt(path, headers, body):
    """One prompt string as a template writes it, numbers of its own, no JSON in return."""
    assert set(body) <= {"inputs", "parameters"}
    said = answer_to(body["inputs"])
    return 200, "text/plain", [each.encode() for each in words(said)]


def deep(path, headers, body):
    """Messages three levels deep, whose texts are deep in them, too."""
    turns = body["request"]["session"]["conversation"]["turns"]
    said = answer_to(turns[-1]["content"]["parts"][0]["text"])
    message = {"author": {"role": "bot"}, "content": {"parts": [{"text": said}]}}
    return as_json({"echo": turns, "response": {"choices": [{"message": message}]}})


CASES = {
    "json": (
        plain_json,
        (
            f"""curl -sS '{{url}}/ask?team=red&sig={KEY}q' -H "X-Api-Key: {KEY}" """
            """ -H 'X-Team: red' """
            """--json '{"question": "Hi $there", "system_prompt": "Be kind.", "model": "acme-1","""
            """ "temperature": 0.5, "max_new_tokens": 99, "top_k": 40, """
            """ "mode": "fa${t}", "x": null}'"""
        ),
    ),
    "sse": (
        in_events,
        (
            f"""curl {{url}}/v2/talk/ -X POST -H "Authorization: Bearer {KEY}" """
            f"""-H 'cookie: a={KEY}' \\\n"""
            """-H 'sec-ch-ua: "Chromium"' -H 'origin: null' -d '{"stream": false, "messages": """
            """[{"role": "user", "content": "hi"}]}' --compressed | jq ."""
        ),
    ),
    "ndjson": (
        in_lines,
        (
            """curl $'{url}/say' --data-raw $'{"dialog": [{"speaker": "Human", "utterance": """
            """"it\\'s \\u0041", "kind": "text"}]}'"""
        ),
    ),
    "cumulative": (
        cumulative,
        (
            f"""curl --url {{url}}/app -d '{{"token": "{KEY}", "params": """
            """{"query": "hi", "lang": "en", "session": "3f6c1a2b9d8e7f6a5b4c3d2e"}}'"""
        ),
    ),
    "prompt": (
        one_prompt,
        (
            """curl {url}/generate -d '{"inputs": "<|im_start|>user\\nhi<|im_end|>", """
            """"parameters": {"max_new_tokens": 5, "beams": 2}}'"""
        ),
    ),
    "deep": (
        deep,
        """curl {url}/deep -u me:"""
        + KEY
        + """ -d '{"request": {"session": {"conversation": {"turns": """
        """ [{"author": {"role": "user"},"""
        """ "content": {"parts": [{"text": "hello there"}]}}]}}}}'""",
    ),
}


async def learned(name, tmp_path, **more):
    play, text = CASES[name]
    with serving(play) as (url, seen):
        file, environment = await probe_curl(text.replace("{url}", url), environment={}, **more)
        told = file.as_toml()
        assert KEY not in told
        assert KEY not in str(file.found) + str(file.notes)
        path = tmp_path / "made.toml"
        path.write_text(told)
        assert says_hello(path, environment).startswith("Hello, you said")
        model = endpoint_file(path, environment=environment)
        assert (await model.ainvoke("Count from 1 to 20.")).text == COUNTED
        pieces = [each.text async for each in model.astream("Count from 1 to 20.") if each.text]
        assert "".join(pieces) == COUNTED
        talk = [("human", "Hi."), ("ai", "Hello."), ("human", "Repeat the word zebra.")]
        assert (await model.ainvoke(talk)).text == "zebra"
        assert (await model.ainvoke([("system", "Be brief."), *talk])).text == "zebra"
    return told, environment, len(pieces), seen, model


async def test_json_with_a_question_and_a_key_in_a_header(tmp_path):
    told, environment, _, seen, model = await learned("json", tmp_path)
    assert environment == {"LLM_KEY": KEY, "LLM_SIG": f"{KEY}q"}
    assert 'key_env = "LLM_KEY"' in told
    assert model.model_name == "acme-1"
    assert (model.temperature, model.max_tokens) == (0.5, 99)
    path, headers, body = seen[-1]
    assert path == f"POST /ask?team=red&sig={KEY}q"
    assert headers["x-team"] == "red"
    assert body["system_prompt"] == "Be brief."
    assert {"top_k": 40, "mode": "fa${t}", "max_new_tokens": 99}.items() <= body.items()
    assert "null, so that left out: x" in told
    assert 'error = "error"' in told
    with serving(plain_json) as (url, _):
        again = model.model_copy(update={"base_url": f"{url}/ask"})
        answer = again.invoke("Hi.", top_k=3)
        assert answer.usage_metadata["input_tokens"] == 3
        assert answer.response_metadata["finish_reason"] == "end"


async def test_events_where_a_flag_asks_for_them(tmp_path):
    told, environment, pieces, seen, model = await learned("sse", tmp_path)
    assert environment == {"LLM_KEY": KEY}
    assert pieces == 20
    assert 'done_marker = "END"' in told
    path, headers, body = seen[-1]
    assert path == "POST /v2/talk/"
    assert not {"cookie", "origin", "sec-ch-ua"} & {each.lower() for each in headers}
    assert body["stream"] is True
    assert "left out, for it works without: cookie, origin, sec-ch-ua" in told
    with serving(in_events) as (url, seen):
        whole = model.model_copy(update={"base_url": f"{url}/v2/talk", "streaming": False})
        assert whole.invoke("Count from 1 to 20.").text == COUNTED
        assert seen[-1][2]["stream"] is False


async def test_lines_with_speakers_and_no_system(tmp_path):
    _told, environment, pieces, seen, model = await learned("ndjson", tmp_path)
    assert environment == {}
    assert pieces == 20
    assert model.quirks.system == "user"
    dialog = seen[-1][2]["dialog"]
    assert [each["speaker"] for each in dialog] == ["Human", "Bot", "Human"]
    assert {each["kind"] for each in dialog} == {"text"}
    with serving(in_lines) as (url, _):
        again = model.model_copy(update={"base_url": f"{url}/say"})
        answer = again.invoke("Hi.")
    assert answer.additional_kwargs["reasoning_content"] == "let me see"
    assert answer.usage_metadata["output_tokens"] == 9


async def test_events_that_each_hold_all_of_the_text(tmp_path):
    told, environment, pieces, seen, _ = await learned("cumulative", tmp_path)
    assert environment == {"LLM_TOKEN": KEY}
    assert pieces == 20
    assert "cumulative = true" in told
    assert "params.session is sent as the command has it" in told
    assert seen[-1][2]["params"]["lang"] == "en"
    assert "authorization" not in {each.lower() for each in seen[-1][1]}


async def test_one_prompt_and_bare_text(tmp_path):
    told, _, _, seen, _ = await learned("prompt", tmp_path)
    assert seen[-1][2]["parameters"] == {"max_new_tokens": 5, "beams": 2}
    assert "<|im_start|>assistant" in seen[-1][2]["inputs"]
    assert 'prompt = "chatml"' in told


async def test_messages_three_levels_deep(tmp_path):
    told, environment, _, seen, _ = await learned("deep", tmp_path)
    assert seen[-1][1]["authorization"].startswith("Basic ")
    assert len(seen[-1][2]["request"]["session"]["conversation"]["turns"]) == 4
    assert [*environment] == ["LLM_KEY"]
    assert "LLM_KEY: USER:PASSWORD in base64" in told
    assert "choices[0].message.content.parts[0].text" in told


def test_an_answer_is_told_from_a_question_that_comes_back():
    said = Heard("json", [{"asked": "Repeat the word abc", "out": {"text": "abc"}}])
    assert said.saying("abc", "Repeat the word abc").path == ("out", "text")


async def test_what_speaks_a_wire_is_probed_as_that(tmp_path):
    def script(received):
        if received.asked is None or received.headers.get("authorization") != f"Bearer {KEY}":
            return [Refuse(401)]
        return words(COUNTED)

    with Upstream(script) as server:
        text = f"""curl {server.url}/v1/chat/completions -H "Authorization: Bearer $ACME" -d '{{
            "model": "m1", "messages": [{{"role": "user", "content": "hi"}}], "top_k": 7,
            "temperature": 0.25}}'"""
        file, environment = await probe_curl(text, environment={"ACME": KEY})
        assert environment == {"ACME": KEY}
        told = file.as_toml()
        assert KEY not in told
        path = tmp_path / "made.toml"
        path.write_text(told)
        model = endpoint_file(path, environment=environment)
        assert (model.wire, model.model_name, model.temperature) == ("openai", "m1", 0.25)
        assert (await model.ainvoke("Count.")).text == COUNTED
        assert server.requests[-1].body["top_k"] == 7
        assert model.quirks.stream is True


async def test_who_does_not_repeat_is_known_by_what_it_counts_or_by_what_changes(tmp_path):
    def counting(path, headers, body):
        said = COUNTED if "Count" in body.get("ask", "") else "No."
        pieces = [{"text": each, "id": "r-17"} for each in words(said)]
        return as_json(pieces)  # as Gemini streams

    def changing(path, headers, body):
        return as_json(
            {"id": "r-17", "reply": {"lines": [f"{len(body['ask'])} letters, and more"]}}
        )

    def listing(path, headers, body):
        return as_json([{"text": each} for each in words(answer_to(body["ask"]))])

    cases = ((counting, COUNTED), (listing, COUNTED), (changing, " letters, and more"))
    for play, said in cases:
        with serving(play) as (url, _):
            text = f"""curl {url}/x -d '{{"style": "of old", "ask": "hello you"}}'"""
            file, environment = await probe_curl(text)
            path = tmp_path / "made.toml"
            path.write_text(file.as_toml())
            model = endpoint_file(path, environment=environment)
            question = "Count from 1 to 20." if said == COUNTED else "Hi"
            assert (await model.ainvoke(question)).text.endswith(said)


async def test_what_can_not_be_done_is_named():
    def mute(path, headers, body):
        return as_json({"answer": "I say nothing of it."})

    def refusing(path, headers, body):
        return as_json({"error": f"no entry with {KEY}"}, 403)

    cases = (
        (mute, '-d \'{"a": "text", "b": "other"}\'', "put at b, a, did not come back"),
        (refusing, f'-d \'{{"token": "{KEY}"}}\'', "itself does not work here.*403"),
        (refusing, f'-d \'{{"who": "{KEY}"}}\'', "itself does not work here.*403"),
        (refusing, f"-H 'api-key: {KEY}' -d '{{\"a\": \"t\"}}'", "itself does not work here.*403"),
    )
    for play, options, said in cases:
        with serving(play) as (url, _), pytest.raises(LoadError, match=said) as caught:
            await probe_curl(f"curl {url} {options}")
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wget http://x", "no curl command"),
        ("curl http://x/y", "neither data nor parameters"),
        ("curl http://x/y -I", "--head can't be honoured"),
        ("curl http://x/y -F a=@b.png", "uploads the file b.png"),
        ("curl http://x/y -F 'a={};type=application/json'", "'a' a type of its own"),
        ("curl http://x/y -F a=b -d c=d", "both -F and -d"),
        ("curl http://x/y -d '{\"a\": }'", "is no JSON"),
        ("curl http://x/y -H 'content-type: application/json' -d a=b", "is no JSON"),
        ("curl http://x/y -H @heads -d a=b", "headers from the file heads"),
        ("curl http://x/y -H Bearer -d a=b", "without a colon: 'Bear…'"),
        ("curl http://x/y -U me:it -d a=b", "names none: -x HOST:PORT"),
        ("curl http://x/y -u me -d a=b", "-u has no password"),
        ("curl http://x/y -d @-", "from its input, which is not in it"),
        ("jq -n '{}' | curl http://x/y -d @-", "from what jq writes"),
        ("curl http://x/y -d @- <<E\n{}", "no line E"),
        ("curl http://x/y?a=1&b=2", "an & stands bare"),
        ('curl http://x/y -d "it costs $5"', "holds \\$5, which only its shell knows"),
        ('curl http://x/y -d "${A#b}"', r"holds \$\{"),
        ("curl http://x/y -d a=b\ncurl http://x/z -d a=b", "several curl commands"),
        ("curl http://x/y -d @<(echo hi)", "another one, in <"),
        ("curl http://x/y --aws-sigv4 a -d b=c", "--aws-sigv4 says what no endpoint file can"),
        ("curl http://x/y --next http://x/z", "--next can't be honoured"),
        ("curl http://x/y z -d a=b", "word 2 behind curl, 'z', is neither"),
        ("curl http://x/y -m soon -d a=b", "wants seconds, not 'soon'"),
        ("curl http://x/y -d @missing.json", "missing.json can't be read"),
        ("curl http://x/y -d '{", "is not closed"),
        ("curl http://x/y -H \"a: $NOBODY_HAS_SET_THIS\" -d '{}'", r"\$NOBODY_HAS_SET_THIS"),
        ('curl http://x/y -d "$(cat missing)"', "missing can't be read"),
        ('curl http://x/y -d "$(date +%s)"', "holds another one.*date's"),
        ("curl http://x/y -d `uuidgen`", "holds another one.*uuidgen's"),
        (
            f"curl http://x/y -H api-key: {KEY} -d '{{}}'",
            "word 4 behind curl, 'sk-c…', behind 'api-key:'.* is a quote missing",
        ),
        ("curl http://x/y --frobnicate -d '{}'", "--frobnicate can't be honoured"),
        ("curl -d '{}'", "names no URL"),
        ("curl 'http://x/y?a=1&a=2' -d '{}'", "twice"),
    ],
)
def test_a_command_that_can_not_be_used_says_why(text, said):
    with pytest.raises(LoadError, match=said) as caught:
        command(text, {})
    assert KEY not in str(caught.value)


def test_commands_are_read_as_shells_read_them(tmp_path):
    path = tmp_path / "body.json"
    path.write_text('{"a":\n 1}')
    made = command(f"curl.exe -XPOST -ksS http://u:p@h/x -d @{path} -m 7 -x http://p:1", {})
    assert made.body == {"a": 1}
    assert made.headers == {"authorization": "Basic dTpw"}
    assert made.url == "http://h/x"
    assert made.fields == {"verify": False, "timeout": 7.0, "proxy": "http://p:1"}
    windows = 'curl ^"http://h/x^" ^\r\n -H ^"a: b^" ^\r\n --data-raw ^"^{^\\^"q^\\^": 1^}^"'
    made = command(windows, {})
    assert (made.url, made.headers, made.body) == ("http://h/x", {"a": "b"}, {"q": 1})
    power = "curl.exe http://h/x `\r\n -H 'a: b' `\r\n -d '{\"q\": 1}'"
    assert command(power, {}).body == {"q": 1}
    joined = command("curl h/x --json '{\"q\":' --json '2}' # done", {})
    assert (joined.url, joined.body) == ("http://h/x", {"q": 2})
