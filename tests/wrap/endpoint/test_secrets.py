"""Secrets stay out of errors, of what they hang on, and of logs, however a server echoes them."""

import base64
import contextlib
import html
import json
import logging
import socketserver
import threading
import traceback
from urllib.parse import quote

import httpx2
import pytest
from pydantic import SecretStr

from chatwright import ChatEndpoint, ChatwrightError
from chatwright.testing import Refuse
from chatwright.wrap.masking import Mask
from contract.subjects import serving
from wrap.endpoint.conftest import Carrier

KEY = "sk-SECRET/KEY+123=&\"é'"
FORMS = {
    "bare": str,
    "percent": lambda key: quote(key, safe=""),
    "percent, small": lambda key: quote(key, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "percent, path": quote,
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON, slashes": lambda key: json.dumps(key)[1:-1].replace("/", r"\/"),
    "JSON, twice": lambda key: json.dumps(json.dumps(key))[3:-3],
    "JSON, all": lambda key: "".join(f"\\u{ord(each):04X}" for each in key),
    "HTML": html.escape,
    "HTML, numbers": lambda key: "".join(f"&#x{ord(each):x};" for each in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 in more": lambda key: base64.b64encode(f"k={key}&more".encode()).decode(),
    "base64 of a name and it": lambda key: base64.urlsafe_b64encode(f"x:{key}!".encode()).decode(),
}


@contextlib.contextmanager
def raw(reply):
    """Answer each request by these bytes, and give the address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            size = 0
            while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                if line.lower().startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            self.rfile.read(size)
            self.wfile.write(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def told(error):
    """Return all that an error and what it hangs on says."""
    chain, met = [error], []
    while chain:
        each = chain.pop()
        met.append(f"{each!r} {each} {vars(each)}")
        chain += [more for more in (each.__cause__, each.__context__) if more is not None]
    return "".join([*met, *traceback.format_exception(error)])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_hidden_in_each_form(form):
    shown = Mask([KEY])(f"before {form(KEY)} behind")
    assert shown.startswith("before ")
    assert shown.endswith(" behind") == ("more" not in shown)
    assert "***" in shown
    for part in ("SECRET", "KEY", base64.b64encode(b"SECRET").decode()[:6], "0053"):
        assert part not in shown


def test_what_is_no_secret_is_shown():
    text = "the key is wrong: /v1/chat?model=sk-SECRE (c2stU0VDUkVU)"
    assert Mask([KEY])(text) == text


HEAD = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    "a header that is none": HEAD + b"X Odd SECRET1234: 1\r\ncontent-length: 2\r\n\r\n{}",
    "a header too long": HEAD + b"x-long: " + b"a" * 200_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
    "more than was said": HEAD + b"content-length: 2\r\n\r\n{}more",
    "no status": b"HTTP/9.9 SECRET1234\r\n\r\n",
    "no HTTP": b"SECRET1234\r\n\r\n",
    "cut": HEAD + b"content-length: 999\r\n\r\n{}",
    "no chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nSECRET1234\r\n",
    "no gzip": HEAD + b"content-encoding: gzip\r\ncontent-length: 10\r\n\r\nSECRET1234",
    "nothing": b"",
}


@pytest.mark.usefixtures("carrier")
@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_key_stays_out_of_what_broken_responses_raise(reply, caplog):
    caplog.set_level(logging.DEBUG)
    with raw(reply) as url:
        model = ChatEndpoint(
            f"{url}?key=SECRET1234",
            model="m",
            api_key="SECRET1234",
            max_retries=0,
            fast=Carrier.fast,
        )
        with pytest.raises(ChatwrightError) as caught:
            model.invoke("hi")
    assert "SECRET" not in told(caught.value)
    assert "key=SECRET" not in caplog.text


class Signs(httpx2.Auth):
    def auth_flow(self, request):
        request.headers["X-Signature"] = ASCII
        yield request


ASCII = KEY.replace("é", "e")
SENT = {
    "api_key": (ASCII, {"api_key": ASCII}),
    "headers": (ASCII, {"headers": {"X-Key": ASCII}}),
    "query": (KEY, {"query": {"key": KEY}}),
    "auth": (KEY, {"auth": ("me", KEY)}),
    "a signature": (ASCII, {"auth": Signs()}),
    "body": (KEY, {"extra_body": {"deep": [{"token": SecretStr(KEY)}]}}),
}


@pytest.mark.parametrize(("key", "fields"), SENT.values(), ids=SENT)
@pytest.mark.parametrize("status", [200, 307, 401])
def test_an_echo_of_a_secret_is_hidden_wherever_it_was_sent(key, fields, status):
    in_base64 = base64.b64encode(key.encode()).decode()
    echo = f"no: {quote(key, safe='')} {in_base64} {key}"
    body = json.dumps({"error": {"message": echo, "code": 400}}).encode()
    where = f"http://elsewhere.example/?key={quote(key)}"
    url = serving(lambda _: [Refuse(status, body=body, headers={"location": where})])
    model = ChatEndpoint(f"{url}/v1", model="m", max_retries=0, **fields)
    with pytest.raises(ChatwrightError) as caught:
        model.invoke("hi")
    assert "***" in str(caught.value)
    assert "SECRET" not in told(caught.value)
    assert in_base64[:9] not in told(caught.value)
