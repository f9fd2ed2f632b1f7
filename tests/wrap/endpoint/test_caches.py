"""Whoever is asked by another tenant, key or address gives answers of its own."""

import subprocess
import sys
import warnings

import httpx2
import pytest
from langchain_core.caches import InMemoryCache

from chatwright import ChatEndpoint, OAuth2ClientCredentials
from chatwright.testing import Upstream

URL = "http://llm.acme.example/v1"


class Signs(httpx2.Auth):
    def __init__(self, key):
        self.key = key


def oauth(url=URL, **fields):
    given = {"client_id": "me", "client_secret": "SECRET-0", **fields}
    return OAuth2ClientCredentials(f"{url}/token", **given)


def returns(value):
    return lambda: value


TWO = {
    "headers": [{"headers": {"X-Tenant": f"SECRET-{each}"}} for each in "ab"],
    "headers, called for": [{"headers": returns({"X-Tenant": f"SECRET-{each}"})} for each in "ab"],
    "query": [{"query": {"key": f"SECRET-{each}"}} for each in "ab"],
    "the URL's query": [{"base_url": f"{URL}?key=SECRET-{each}"} for each in "ab"],
    "the URL's blank query": [{"base_url": f"{URL}{each}"} for each in ("?key=", "")],
    "the URL's password": [
        {"base_url": f"http://me:SECRET-{each}@llm.acme.example/v1"} for each in "ab"
    ],
    "key": [{"api_key": f"SECRET-{each}"} for each in "ab"],
    "key, called for": [{"api_key": returns(f"SECRET-{each}")} for each in "ab"],
    "basic auth": [{"auth": ("me", f"SECRET-{each}")} for each in "ab"],
    "digest auth": [{"auth": httpx2.DigestAuth("me", f"SECRET-{each}")} for each in "ab"],
    "auth of one's own": [{"auth": Signs(f"SECRET-{each}")} for each in "ab"],
    "client": [{"auth": oauth(client_id=each)} for each in "ab"],
    "client's secret": [{"auth": oauth(client_secret=f"SECRET-{each}")} for each in "ab"],
    "scope": [{"auth": oauth(scope=each)} for each in "ab"],
    "proxy": [{"proxy": f"http://me:SECRET-{each}@proxy.example"} for each in "ab"],
    "body": [{"extra_body": {"tenant": each}} for each in "ab"],
}


def model(fields):
    return ChatEndpoint(**{"base_url": URL, "model": "m", "api_key": None, **fields})


@pytest.mark.parametrize("two", TWO.values(), ids=TWO)
def test_whoever_asks_in_another_way_has_another_key(two):
    keys = [model(each)._get_llm_string() for each in two]
    assert keys[0] != keys[1]
    assert keys == [model(each)._get_llm_string() for each in two]
    assert "SECRET" not in repr(keys)


def test_a_calls_headers_are_part_of_the_key():
    keys = [
        model({})._get_llm_string(**fields)
        for fields in ({}, *({"headers": {"X-Tenant": f"SECRET-{each}"}} for each in "ab"))
    ]
    assert len(set(keys)) == 3
    assert "SECRET" not in repr(keys)


def test_keys_are_the_same_in_another_process():
    made = "ChatEndpoint('http://h/v1', model='m', api_key='SECRET', headers={'X': 'SECRET'})"
    code = f"from chatwright import ChatEndpoint; print({made}._get_llm_string())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = ChatEndpoint("http://h/v1", model="m", api_key="SECRET", headers={"X": "SECRET"})
    assert there.stdout.strip() == here._get_llm_string()


def test_a_token_of_the_hour_is_no_part_of_the_key():
    with Upstream(["fine"]) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        auth = oauth(server.url)
        auth._token, auth._renew = "token-1", 2**40
        given = {"base_url": f"{server.url}/v1", "auth": auth, "cache": InMemoryCache()}
        assert [model(given).invoke("x").text for _ in range(2)] == ["fine", "fine"]
        auth._token = "token-2"
        model(given).invoke("x")
        assert len(server.requests) == 1


def test_a_query_that_names_one_parameter_twice_is_refused():
    with pytest.raises(ValueError, match="'a' twice"):
        model({"base_url": f"{URL}?a=1&a=2"})
