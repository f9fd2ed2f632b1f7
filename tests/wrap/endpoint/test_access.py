"""Keys, tokens, certificates, proxies and clients of one's own."""

import asyncio
import contextlib
import json
import pickle
import ssl
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx2
import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Response as Answer

from chatwright import (
    AuthenticationError,
    ChatEndpoint,
    OAuth2ClientCredentials,
    ParameterError,
    SourceConnectionError,
)
from chatwright.testing import Refuse, Upstream
from wrap.endpoint.conftest import Carrier

pytestmark = pytest.mark.usefixtures("carrier")


@pytest.fixture
def server():
    with Upstream(["fine"]) as upstream:
        yield upstream


def model(server, **fields):
    return ChatEndpoint(
        **{
            "base_url": f"{server.url}/v1",
            "model": "m",
            "max_retries": 0,
            "fast": Carrier.fast,
            **fields,
        }
    )


def key(received):
    return received.headers.get("authorization")


# Keys.


def test_the_key_goes_where_the_wire_has_it(server, monkeypatch):
    model(server, api_key="k-1").invoke("x")
    assert key(server.requests[-1]) == "Bearer k-1"
    monkeypatch.setenv("CHATWRIGHT_API_KEY", "k-2")
    model(server).invoke("x")
    assert key(server.requests[-1]) == "Bearer k-2"
    model(server, wire="anthropic").invoke("x")
    assert server.requests[-1].headers["x-api-key"] == "k-2"
    assert key(server.requests[-1]) is None


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_key_may_be_a_function_and_is_asked_again_once_it_is_refused(server, colour):
    keys = iter(["old", "new", "unused"])
    server.script = lambda got: ["fine"] if key(got) == "Bearer new" else [Refuse(401)]

    async def coroutine():
        await asyncio.sleep(0)
        return next(keys)

    endpoint = model(server, api_key=coroutine if colour == "async" else lambda: next(keys))
    assert endpoint.invoke("x").text == "fine"
    assert [key(each) for each in server.requests] == ["Bearer old", "Bearer new"]


def test_a_fixed_key_that_is_refused_is_not_sent_twice(server):
    server.script = [Refuse(401)]
    with pytest.raises(AuthenticationError, match="give the key as api_key"):
        model(server, api_key="k").invoke("x")
    assert len(server.requests) == 1


def test_headers_are_static_or_made_or_a_calls_own(server):
    model(server, headers={"X-A": "1"}).invoke("x", headers={"X-B": "2"})
    got = server.requests[-1].headers
    assert (got["x-a"], got["x-b"]) == ("1", "2")
    model(server, headers=lambda: {"X-A": "made"}).invoke("x")
    assert server.requests[-1].headers["x-a"] == "made"

    async def made():
        return {"X-A": "awaited"}

    model(server, headers=made).invoke("x")
    assert server.requests[-1].headers["x-a"] == "awaited"


def test_any_auth_of_httpx2_will_do(server):
    model(server, auth=httpx2.BasicAuth("me", "pw")).invoke("x")
    assert key(server.requests[-1]).startswith("Basic ")


# OAuth2.


@pytest.fixture
def tokens():
    """A server that gives tokens out: t1, t2, …"""
    with HTTPServer() as server:
        server.given = []

        def give(request):
            time.sleep(0.05)
            server.given.append((dict(request.form), request.headers.get("Authorization")))
            body = {"access_token": f"t{len(server.given)}", "expires_in": server.lifetime}
            return Answer(json.dumps(body), content_type="application/json")

        server.lifetime = 3600
        server.expect_request("/token").respond_with_handler(give)
        yield server


def oauth(tokens, **fields):
    given = {"client_id": "me", "client_secret": "s3cret-s3cret", "scope": "llm", **fields}
    return OAuth2ClientCredentials(token_url=tokens.url_for("/token"), **given)


async def test_a_hundred_calls_fetch_one_token(server, tokens):
    endpoint = model(server, auth=oauth(tokens))
    await asyncio.gather(*[endpoint.ainvoke("x") for _ in range(100)])
    assert len(tokens.given) == 1
    form, basic = tokens.given[0]
    assert form == {"grant_type": "client_credentials", "scope": "llm"}
    assert basic.startswith("Basic ")
    assert {key(each) for each in server.requests} == {"Bearer t1"}


async def test_a_refused_token_is_renewed_once_for_all(server, tokens):
    server.script = lambda got: ["fine"] if key(got) == "Bearer t2" else [Refuse(401)]
    endpoint = model(server, auth=oauth(tokens, in_body=True))
    answers = await asyncio.gather(*[endpoint.ainvoke("x") for _ in range(100)])
    assert {each.text for each in answers} == {"fine"}
    assert len(tokens.given) == 2
    assert tokens.given[0][0]["client_secret"] == "s3cret-s3cret"


def test_a_token_is_renewed_before_its_end(server, tokens, monkeypatch):
    now = 1e9
    monkeypatch.setattr("chatwright.wrap.endpoint.auth.time.time", lambda: now)
    tokens.lifetime = 100
    endpoint = model(server, auth=oauth(tokens, early=60))
    endpoint.invoke("x")
    endpoint.invoke("x")
    assert len(tokens.given) == 1
    now += 51  # half of its life is the earliest
    endpoint.invoke("x")
    assert len(tokens.given) == 2


def test_no_token_is_an_error_that_hides_the_secret(server, tokens):
    tokens.clear()
    tokens.expect_request("/token").respond_with_data("no s3cret-s3cret here", status=400)
    with pytest.raises(AuthenticationError, match=r"no token from localhost: HTTP 400") as caught:
        model(server, auth=oauth(tokens)).invoke("x")
    assert "s3cret-s3cret" not in str(caught.value) + caught.value.body
    assert not server.requests


def test_credentials_pickle_and_do_not_show(server, tokens):
    endpoint = model(server, auth=oauth(tokens))
    endpoint.invoke("x")
    assert "s3cret" not in repr(endpoint)
    assert pickle.loads(pickle.dumps(endpoint)).invoke("x").text == "fine"
    assert len(tokens.given) == 2


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    made.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    return made, folder


def tls(authority, *, wants_client=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    if wants_client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_private_authority_is_trusted_where_it_is_named(authority, tmp_path):
    ca, folder = authority
    with Upstream(["fine"], tls=tls(ca)) as server:
        with pytest.raises(SourceConnectionError, match="certificate verify failed"):
            model(server).invoke("x")
        assert model(server, ca_file=str(folder / "ca.pem")).invoke("x").text == "fine"
        assert model(server, verify=False).invoke("x").text == "fine"
        with pytest.raises(ParameterError, match=r"no certificate .*missing\.pem"):
            model(server, ca_file=str(tmp_path / "missing.pem")).invoke("x")


def test_a_client_certificate_is_shown(authority):
    ca, folder = authority
    with Upstream(["fine"], tls=tls(ca, wants_client=True)) as server:
        given = {"ca_file": str(folder / "ca.pem"), "client_cert": str(folder / "client.pem")}
        assert model(server, **given).invoke("x").text == "fine"
        subject = server.requests[-1].peer["subjectAltName"]
        assert ("DNS", "client.example") in subject
        del given["client_cert"]
        with pytest.raises(SourceConnectionError):
            model(server, **given).invoke("x")


# Proxies and own clients.


@contextlib.contextmanager
def proxy(port_file):
    """Run a real proxy, which wants a name and a password."""
    arguments = ["--hostname", "127.0.0.1", "--port", "0", "--num-workers", "1"]
    arguments += ["--basic-auth", "me:pw-pw-pw", "--port-file", str(port_file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", *arguments], stderr=subprocess.DEVNULL
    )
    try:
        while not (port_file.exists() and port_file.read_text().strip()):
            assert process.poll() is None
            time.sleep(0.05)
        yield f"http://me:pw-pw-pw@127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.terminate()
        process.wait()


def test_a_proxy_comes_from_the_settings_or_the_environment(server, monkeypatch, tmp_path):
    with proxy(tmp_path / "port") as url:
        endpoint = model(server, proxy=url)
        assert endpoint.invoke("x").text == "fine"
        assert "via" in server.requests[-1].headers
        assert "pw-pw-pw" not in repr(endpoint)
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "")
        assert asyncio.run(model(server).ainvoke("x")).text == "fine"
        assert "via" in server.requests[-1].headers
        assert asyncio.run(model(server, trust_env=False).ainvoke("x")).text == "fine"
        assert "via" not in server.requests[-1].headers
        for excepted in ("127.0.0.1", urlsplit(server.url).netloc):
            monkeypatch.setenv("NO_PROXY", excepted)
            assert asyncio.run(model(server).ainvoke("x")).text == "fine"
            assert "via" not in server.requests[-1].headers


def test_a_netrc_file_says_nothing(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password pw-pw-pw\n", "utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert model(server, api_key="sk-1").invoke("x").text == "fine"
    assert server.requests[-1].headers["authorization"] == "Bearer sk-1"
    assert model(server).invoke("x").text == "fine"
    assert "authorization" not in server.requests[-1].headers


def test_a_proxy_that_is_none_is_an_error(server):
    with pytest.raises(ParameterError, match="proxy"):
        model(server, proxy="nonsense://x").invoke("x")


def client():
    return httpx2.AsyncClient(headers={"X-Mine": "yes"})


def test_an_own_client_is_made_once_for_each_loop(server):
    endpoint = model(server, http_client=client)
    for _ in range(3):
        assert asyncio.run(endpoint.ainvoke("x")).text == "fine"
    assert endpoint.invoke("x").text == "fine"
    assert server.requests[-1].headers["x-mine"] == "yes"
    assert pickle.loads(pickle.dumps(endpoint)).invoke("x").text == "fine"


async def test_a_live_client_serves_its_loop_and_no_other(server):
    async with client() as mine:
        endpoint = model(server, http_client=mine)
        assert (await endpoint.ainvoke("x")).text == "fine"
        with pytest.raises(ParameterError, match="belongs to another event loop"):
            await asyncio.to_thread(endpoint.invoke, "x")
        with pytest.raises(ParameterError, match="can't be pickled"):
            pickle.dumps(endpoint)


def test_an_own_client_that_was_closed_is_made_again_and_the_others_live_on(server):
    made = []

    def make():
        made.append(client())
        return made[-1]

    async def run():
        endpoint, other = model(server, http_client=make), model(server)
        await asyncio.gather(endpoint.ainvoke("x"), other.ainvoke("x"))
        await made[0].aclose()
        assert (await endpoint.ainvoke("x")).text == "fine"
        assert (await other.ainvoke("x")).text == "fine"
        assert [each.is_closed for each in made] == [True, False]

    asyncio.run(run())


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "http://127.0.0.1:9"},
        {"HTTP_PROXY": "https://127.0.0.1:9"},
        {"HTTP_PROXY": "http://127.0.0.1:9"},
    ],
)
def test_no_proxy_of_the_environment_is_bypassed(server, monkeypatch, variables):
    monkeypatch.setenv("NO_PROXY", "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceConnectionError):
        asyncio.run(model(server).ainvoke("x"))
    assert not server.requests


def test_a_proxy_that_can_not_be_used_is_not_quoted(server):
    for proxy in ("me:s3cret-s3cret@host:1", "http://me:s3cret-s3cret@host:99999999"):
        with pytest.raises((ParameterError, SourceConnectionError)) as caught:
            model(server, proxy=proxy).invoke("x")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("auth", ["abc", 3, object()])
def test_an_auth_that_is_none_is_refused_at_once(server, auth):
    with pytest.raises(ValueError, match="auth has to be"):
        model(server, auth=auth)


def test_a_name_and_a_password_are_an_auth_that_does_not_show(server):
    endpoint = model(server, auth=("me", "s3cret-s3cret"))
    endpoint.invoke("x")
    assert key(server.requests[0]).startswith("Basic ")
    assert "s3cret" not in repr(endpoint)


def test_a_client_without_async_is_refused():
    with pytest.raises(ValueError, match=r"has to be an httpx2\.AsyncClient"):
        ChatEndpoint(base_url="http://x", http_client=httpx2.Client())
