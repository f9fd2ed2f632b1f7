"""`probe_curl` against servers that are unlike: what they take, and what they call who speaks."""

from urllib.parse import parse_qs, urlsplit

import pytest

from chatwright.wrap.endpoint.curl.heard import Heard
from chatwright.wrap.endpoint.curl.learn import probe_curl, says_hello
from chatwright.wrap.endpoint.curl.slots import offered
from chatwright.wrap.endpoint.file import endpoint_file
from wrap.endpoint.made_up import COUNTED, KEY, answer_to, as_json, serving

TALK = [("system", "Be brief."), ("human", "Hi."), ("ai", "Yes?"), ("human", "Repeat the word pi")]


async def learned(play, text, tmp_path):
    """Return the file that a command becomes, what it is called, and what is asked by it."""
    with serving(play) as (url, seen):
        file, environment = await probe_curl(text.replace("URL", url), environment={})
        path = tmp_path / "made.toml"
        path.write_text(file.as_toml())
        assert says_hello(path, environment).startswith("Hello, you said")
        model = endpoint_file(path, environment=environment)
        assert (await model.ainvoke("Count from 1 to 20.")).text == COUNTED
        assert (await model.ainvoke(TALK)).text == "pi"
    assert KEY not in file.as_toml()
    return file, seen[-1]


def in_form(path, headers, body):
    form = parse_qs(body)
    if form.get("style") != ["plain"] or f"apikey={KEY}" not in path:
        return as_json({"error": "no"}, 400)
    return 200, "text/plain", [answer_to(form["q"][-1]).encode()]


def in_query(path, headers, body):
    asked = parse_qs(urlsplit(path).query)
    if asked.get("key") != [KEY] or asked.get("max_tokens") != ["64"] or body:
        return as_json({"error": "no"}, 400)
    return as_json({"said": answer_to(asked["q"][0])})


def in_parts(path, headers, body):
    if "multipart/form-data; boundary=" not in headers["content-type"]:
        return as_json({"error": "no"}, 400)
    _, _, said = body.partition('name="message"\r\n\r\n')
    return as_json({"said": answer_to(said.partition("\r\n--")[0])})


def in_json(path, headers, body):
    return as_json({"said": answer_to(body["ask"])})


def in_text(path, headers, body):
    return as_json({"said": answer_to(body)})


@pytest.mark.parametrize(
    ("play", "text", "line", "wanted"),
    [
        (
            in_form,
            f"curl 'URL/x?apikey={KEY}&lang=en' -d style=plain --data-urlencode 'q=Who & what?'",
            "POST /x?",
            'encoding = "form"',
        ),
        (in_query, f"curl 'URL/x?q=Hi+there&max_tokens=64&key={KEY}'", "GET /x?q=", "query"),
        (in_query, f"curl -X PUT 'URL/x?q=Hi+you&max_tokens=64&key={KEY}'", "PUT /x?q=", "PUT"),
        (in_parts, "curl URL/x -F 'message=Hi there' -F lang=en", "POST /x", "multipart"),
        (in_json, """curl -X PUT URL/x -d '{"ask": "hi"}'""", "PUT /x", 'method = "PUT"'),
        (in_json, """curl -X GET URL/x -d '{"ask": "hi"}'""", "GET /x", 'method = "GET"'),
        (in_text, "curl URL/x -H 'content-type: text/plain' -d 'Hi there'", "POST /x", "text"),
    ],
)
async def test_what_is_no_json_posted_becomes_a_file_too(play, text, line, wanted, tmp_path):
    file, seen = await learned(play, text, tmp_path)
    assert seen[0].startswith(line)
    assert wanted in file.as_toml()


def speaking(names, refusal="who is that?", where="say"):
    """Serve messages whose roles have these names, and are looked at."""

    def play(path, headers, body):
        roles = [each["by"] for each in body["talk"]]
        if set(roles) - {*names} or roles[-1] != names[0]:
            return as_json({"error": refusal}, 422)
        return as_json({"answer": answer_to(body["talk"][-1][where])})

    return play


def talking(*turns):
    told = ", ".join(f'{{"by": "{by}", "say": "{said}"}}' for by, said in turns)
    return f"""curl URL/x -d '{{"talk": [{told}]}}'"""


@pytest.mark.parametrize(
    ("names", "refusal", "turns", "system"),
    [
        # The names are known, and say which is which.
        (("client", "agent", "instruction"), "", "2010", True),
        (("customer", "bot", "system"), "", "010", True),
        (("Human", "Machine"), "", "0", False),
        # Nobody knows them: a system message stands first, an answer behind a question.
        (("zed", "zap", "zero"), "", "2010", True),
        (("zed", "zap"), "", "010", False),
        # The command has one of them: a refusal tells the others.
        (("guest", "tutor", "rules"), "permitted: 'guest', 'tutor', 'rules'", "0", True),
    ],
)
async def test_roles_are_told_by_name_by_place_or_by_refusal(
    names, refusal, turns, system, tmp_path
):
    text = talking(*((names[int(each)], f"words {each}") for each in turns))
    _, seen = await learned(speaking(names, refusal or "who is that?"), text, tmp_path)
    by = [each["by"] for each in seen[2]["talk"]]
    assert by == ([names[2]] if system else []) + [names[0], names[1], names[0]]
    said = [each["say"] for each in seen[2]["talk"]]
    assert said[-2:] == ["Yes?", "Repeat the word pi"]
    assert "Be brief." in said[0]
    assert "words" not in str(said)


def test_what_a_refusal_offers_is_what_it_quotes():
    assert offered("'x' is none of \"USER\", 'BOT'", "x") == ["USER", "BOT"]
    assert offered(r"permitted: \"guest\", \"tutor\"", "x") == ["guest", "tutor"]


@pytest.mark.parametrize(("user", "bot"), [("user", "assistant"), ("pilgrim", "oracle")])
async def test_earlier_messages_beside_the_last_one_go_where_the_command_has_them(
    user, bot, tmp_path
):
    def play(path, headers, body):
        if {each["role"] for each in body["history"]} - {user, bot}:
            return as_json({"error": "no such role"}, 422)
        return as_json({"answer": answer_to(body["message"])})

    said = f"""{{"role": "{user}", "text": "Old."}}, {{"role": "{bot}", "text": "Older."}}"""
    text = (
        f"""curl URL/x -d '{{"message": "And you?", "history": [{said}], """
        """"sources": [{"from": "web", "text": "s"}]}'"""
    )
    file, seen = await learned(play, text, tmp_path)
    assert seen[2] == {
        "message": "Repeat the word pi",
        "history": [
            {"role": user, "text": "Be brief.\n\nHi."},
            {"role": bot, "text": "Yes?"},
        ],
        "sources": [{"from": "web", "text": "s"}],
    }
    assert "as one text" not in file.as_toml()


@pytest.mark.parametrize("needed", [False, True])
async def test_what_others_said_before_is_left_out_or_told(needed, tmp_path):
    def play(path, headers, body):
        if needed and not body["chat_history"]:
            return as_json({"error": "no history"}, 422)
        return as_json({"answer": answer_to(body["message"])})

    text = """curl URL/x -d '{"message": "And you?", "chat_history": [["Old.", "Older."]]}'"""
    file, seen = await learned(play, text, tmp_path)
    assert seen[2]["chat_history"] == ([["Old.", "Older."]] if needed else [])
    told = "is sent as the command has it" if needed else "is left out: it was said to others"
    assert f"chat_history {told}" in file.as_toml()


def test_an_answer_that_repeats_is_told_from_the_request_that_is_echoed():
    question = "Repeat the word abc"
    echoed = {"heard": {"said": question}, "result": {"text": f"Surely: {question}"}}
    assert Heard("json", [echoed]).saying("abc", question).path == ("result", "text")
    named = {"prompt": f"User: {question}", "answer_of_the": {"llm": f"Surely: {question}"}}
    assert Heard("json", [named]).saying("abc", question).path == ("answer_of_the", "llm")
