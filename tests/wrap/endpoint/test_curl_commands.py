"""What curl commands are read as, however a shell, a script or a browser writes them."""

import pytest

from chatwright.wrap.endpoint.curl.command import command

ASK = {"q": "hi"}
JSON = """-d '{"q": "hi"}'"""


@pytest.mark.parametrize(
    "text",
    [
        f"curl http://h/x \\\n  {JSON}",
        f"curl \\\n    http://h/x \\\n    {JSON} \\\n",
        f"curl http://h/x \\\r\n  {JSON}\r\n",
        f"curl http://h/x\n  {JSON}\n",  # the \ was lost in copying
        f"curl\n  'http://h/x'\n  {JSON}",
        f"#!/bin/sh\n# asks\nset -e\ncurl http://h/x {JSON}\necho $?\n",
        f"$ curl http://h/x {JSON} | jq .",
        f'me@host:~$ curl http://h/x {JSON} | jq -r "${{x#a}}"',
        f"curl http://h/x {JSON} > out.json 2>/dev/null && echo done",
        f"curl http://h/x {JSON} 2>&1 >>log | tee log &",
        f"curl http://h/x {JSON} &> log",
        f"U=h/x; curl http://$U {JSON}",
        f"export U=h\ncurl http://${{U}}/x {JSON}",
        f"curl http://${{U:-h}}/x {JSON}",
        f"time sudo /usr/bin/curl http://h/x {JSON}",
        f'answer=$(curl -s http://h/x {JSON})\necho "$answer" | jq .',
        f'answer="$(curl -s http://h/x \\\n {JSON})"',
        'curl http://h/x -d @- <<EOF\n{"q": "hi"}\nEOF\n',
        'T=hi\ncurl http://h/x -d @- <<EOF | jq .\n{"q": "$T"}\nEOF\n',
        'curl http://h/x --json @- <<-\'EOF\'\n\t{"q": "hi"}\n\tEOF\n',
        'curl http://h/x -d @- <<< \'{"q": "hi"}\'',
        """curl http://h/x -d "$(cat <<'EOF'\n{"q": "hi"}\nEOF\n)" """,
        'echo \'{"q": "hi"}\' | curl http://h/x -d @-',
        'printf %s \'{"q": "hi"}\' | curl http://h/x --data-binary @-',
        f"curl --url http://h/x {JSON} -X POST -sSLo out --max-redirs 3 --no-progress-meter",
        f"curl http://h/x {JSON} --sil --compressed --no-keepalive -w '%{{http_code}}' -O",
        f"curl {JSON} -- http://h/x",
        'curl ^"http://h/x^" ^\r\n  -d ^"{\\^"q\\^": \\^"%ASKED%\\^"}^"',
        'curl.exe http://h/x `\r\n -d "{`"q`": `"hi`"}"'.replace('`"', '\\"'),
    ],
)
def test_a_command_is_found_whatever_stands_around_it(text):
    made = command(text, {"ASKED": "hi"})
    assert (made.url, made.body, made.method) == ("http://h/x", ASK, "POST")


def test_files_are_read_where_the_shell_would_read_them(tmp_path):
    path = tmp_path / "body.json"
    path.write_text('{"q":\n "hi"}\n')
    for text in (
        f"curl http://h/x -d @{path}",
        f"curl http://h/x -d @- < {path}",
        f'curl http://h/x -d "$(cat {path})"',
        f'curl http://h/x -d "$(< {path})"',
        f"cat {path} | curl http://h/x -d @-",
    ):
        assert command(text, {}).body == ASK, text
    made = command(f"curl http://h/x --data-urlencode q@{path} --url-query 'a=b c'", {})
    assert made.body == {"q": ASK}
    assert made.query == {"a": "b c"}


def test_variables_of_the_command_are_told_with_their_values():
    text = 'TOKEN=abc\ncurl http://h/x -H "k: $TOKEN" -H "o: $env:OTHER" -d a=b'
    made = command(text, {"OTHER": "def", "UNUSED": "ghi"})
    assert made.headers == {"k": "abc", "o": "def"}
    assert made.variables == {"TOKEN": "abc", "OTHER": "def"}


@pytest.mark.parametrize(
    ("options", "method", "encoding", "body"),
    [
        ("-d a=b -d c=d+e%21", "POST", "form", {"a": "b", "c": "d e!"}),
        (
            "-d style=plain --data-urlencode 'q=a & b=c'",
            "POST",
            "form",
            {"style": "plain", "q": "a & b=c"},
        ),
        (
            "-d n=5 -d t=0.5 -d s=true -d z=007",
            "POST",
            "form",
            {"n": 5, "t": 0.5, "s": True, "z": "007"},
        ),
        ("-d tag=a -d tag=b", "POST", "form", {"tag": ["a", "b"]}),
        (
            """--data-urlencode 'p={"m": [1]}' -d 'l=[]'""",
            "POST",
            "form",
            {"p": {"m": [1]}, "l": "[]"},
        ),
        (
            "-F a=b -F 'c=<FILE' --form-string d=@e",
            "POST",
            "multipart",
            {"a": "b", "c": "said", "d": "@e"},
        ),
        ("-G -d a=b --data-urlencode 'c=d e'", "GET", "query", {"a": "b", "c": "d e"}),
        ("-X POST --url-query a=b", "POST", "query", {"a": "b"}),
        ("-X put -d '{\"a\": 1}'", "PUT", "json", {"a": 1}),
        ("-X GET -d '{\"a\": 1}'", "GET", "json", {"a": 1}),
        ("-d '\"hello\"'", "POST", "json", "hello"),
        ("-d 'What is 1 = 1?'", "POST", "text", "What is 1 = 1?"),
        ("-H 'Content-Type: text/plain' -d a=b", "POST", "text", "a=b"),
    ],
)
def test_data_is_what_its_encoding_writes(options, method, encoding, body, tmp_path):
    path = tmp_path / "file"
    path.write_text("said")
    made = command(f"curl http://h/x {options.replace('FILE', str(path))}", {})
    assert (made.method, made.encoding, made.body) == (method, encoding, body)


def test_what_is_asked_in_the_url_is_the_body_and_keys_are_not():
    made = command("curl 'http://h/x?q=hi&n=3&api_key=sk-canary-1234'", {})
    assert (made.method, made.encoding, made.body) == ("GET", "query", {"q": "hi", "n": 3})
    assert made.query == {"api_key": "sk-canary-1234"}
    posted = command("curl 'http://h/x?q=hi' -d a=b", {})
    assert (posted.query, posted.body) == ({"q": "hi"}, {"a": "b"})


def test_options_of_the_network_are_fields():
    made = command(
        "curl http://h/x -d a=b -x p:3128 -U me:p@ss --noproxy '*' -k --cacert c.pem", {}
    )
    assert made.fields == {
        "proxy": "http://me:p%40ss@p:3128",
        "trust_env": False,
        "verify": False,
        "ca_file": "c.pem",
    }
