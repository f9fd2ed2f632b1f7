"""Requests that are no JSON posted: forms, queries, bare text, other methods."""

from email.parser import BytesParser
from urllib.parse import parse_qs, urlsplit

import pytest

from chatwright import LoadError
from chatwright.wrap.endpoint.file import endpoint_file
from wrap.endpoint.made_up import KEY, as_json, serving

FILE = """
url = "URL/ask"
api_key_line
model = "m1"
temperature = 0.5

[request]
REQUEST

[response]
text = "said"
"""
BODY = """{ q = "${last}", heat = "${temperature}", top = "${max_tokens}", k = "${key}",
    on = "${stream}", tags = ["a", "b & c"], talk = [{ by = "${model}" }] }""".replace("\n", " ")
SAID = "Who was Ada & what = 100%?"
TALK = '[{"by":"m1"}]'


def asked(tmp_path, request, question=SAID):
    """Ask a model of such a file; return what the server has seen, and what `explain` says."""
    path = tmp_path / "one.toml"
    with serving(lambda *_: as_json({"said": "yes"})) as (url, seen):
        text = FILE.replace("REQUEST", request).replace("URL", url)
        path.write_text(text.replace("api_key_line", 'key_env = "ONE_KEY"'))
        model = endpoint_file(path, environment={"ONE_KEY": KEY})
        assert model.invoke(question).text == "yes"
    return seen[-1], model.explain(question)


def fields(body):
    return {name: values if len(values) > 1 else values[0] for name, values in body.items()}


WANTED = {"q": SAID, "heat": "0.5", "k": KEY, "on": "false", "tags": ["a", "b & c"], "talk": TALK}


def test_a_form(tmp_path):
    request = f'encoding = "form"\nkey_header = ""\nbody = {BODY}'
    (line, headers, body), shown = asked(tmp_path, request)
    assert line == "POST /ask"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert fields(parse_qs(body)) == WANTED
    assert shown["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert shown["body"]["q"] == SAID
    assert KEY not in str(shown)


def test_a_form_in_parts(tmp_path):
    request = f'encoding = "multipart"\nkey_header = ""\nbody = {BODY}'
    (_, headers, body), shown = asked(tmp_path, request)
    head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
    found = {}
    for part in BytesParser().parsebytes(head + body.encode()).get_payload():
        name = part.get_param("name", header="content-disposition")
        found.setdefault(name, []).append(part.get_payload())
    assert fields(found) == WANTED
    assert shown["headers"]["Content-Type"] == "multipart/form-data"


def test_a_query(tmp_path):
    request = f'encoding = "query"\nkey_header = ""\nbody = {BODY}'
    (line, headers, body), shown = asked(tmp_path, request)
    method, address = line.split()
    assert (method, body) == ("GET", "")
    assert "content-type" not in {name.lower() for name in headers}
    assert fields(parse_qs(urlsplit(address).query)) == WANTED
    assert (shown["method"], shown["body"]) == ("GET", None)
    assert "q=Who+was+Ada+%26" in shown["url"]
    assert KEY not in str(shown)


def test_bare_text_and_other_methods(tmp_path):
    request = 'encoding = "text"\nmethod = "PUT"\nbody = "Say: ${last}"'
    (line, headers, body), shown = asked(tmp_path, request)
    assert (line, body) == ("PUT /ask", f"Say: {SAID}")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert shown["method"] == "PUT"
    request = 'method = "POST"\nencoding = "query"\nbody = { q = "${last}" }'
    (line, _, body), _ = asked(tmp_path, request, "hi")
    assert (line, body) == ("POST /ask?q=hi", "")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ('encoding = "form"\nbody = ["${prompt}"]', "body has to be an object"),
        ('encoding = "text"\nbody = { q = "${last}" }', "body has to be a text"),
        ('encoding = "xml"\nbody = "${prompt}"', "encoding"),
        ('method = "get it"\nbody = "${prompt}"', "method"),
    ],
)
def test_what_no_encoding_writes_is_named(tmp_path, request_, said):
    with pytest.raises(LoadError, match=said):
        asked(tmp_path, request_)
