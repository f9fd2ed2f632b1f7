"""Who may ask: hosts, origins, content types, keys."""

import json

import pytest

from chatwright.run.serve.keys import Keys, add_key

from .conftest import Endless, eventually

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]})
JSON = {"Content-Type": "application/json"}


def ask(server, path="/v1/chat/completions", **headers):
    told = {**JSON, **{name.replace("_", "-"): each for name, each in headers.items()}}
    return server.client.post(path, content=BODY, headers=told)


def test_a_name_that_is_not_its_own(serving):
    server = serving()
    assert ask(server, Host="evil.example").status_code == 403
    assert ask(server, Host="localhost:8000").status_code == 200
    assert server.client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403


def test_pages_of_other_origins(serving):
    server = serving(cors=["https://good.example"])
    assert ask(server, Origin="https://evil.example").status_code == 403
    assert ask(server, Origin="null").status_code == 403
    assert ask(server, Origin=server.url).status_code == 200
    answer = ask(server, Origin="https://good.example")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://good.example"
    asked = {
        "Origin": "https://good.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    assert server.client.options("/v1/chat/completions", headers=asked).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", ""])
def test_what_a_page_may_send_unasked_is_refused(serving, kind):
    assert ask(serving(), Content_Type=kind).status_code == 415


def test_ollamas_own_curl(serving):
    server = serving()
    form = "application/x-www-form-urlencoded"
    assert ask(server, "/api/chat", Content_Type=form).status_code == 200
    assert ask(server, "/api/chat", Content_Type=form, Sec_Fetch_Site="none").status_code == 415
    assert ask(server, Content_Type=form).status_code == 415


def test_security_headers(serving):
    answer = serving().client.get("/healthz")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


class TestKeys:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "keys.json"

    def test_a_key_is_needed(self, serving, path):
        key = add_key(path, "ann")
        server = serving(api_keys=path)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": key}):
            refused = ask(server, **headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert ask(server, Authorization=f"Bearer {key}").status_code == 200
        assert ask(server, x_api_key=key).status_code == 200
        assert server.client.get("/healthz").status_code == 200
        assert server.client.get("/metrics").status_code == 401

    def test_it_is_kept_as_a_hash_that_nobody_else_reads(self, path):
        key = add_key(path, "ann")
        assert key not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
        with pytest.raises(ValueError, match="ann"):
            add_key(path, "ann")
        assert add_key(path, "bob") != key

    def test_limits_of_a_key(self, serving, path):
        key = add_key(path, "ann")
        told = json.loads(path.read_text())
        path.write_text(json.dumps({"ann": {**told["ann"], "per_minute": 2}}))
        server = serving(api_keys=path)
        statuses = [ask(server, Authorization=f"Bearer {key}").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = ask(server, Authorization=f"Bearer {key}")
        assert 1 <= int(refused.headers["retry-after"]) <= 60

    def test_at_once(self, serving, path):
        key = add_key(path, "ann")
        told = json.loads(path.read_text())
        path.write_text(json.dumps({"ann": {**told["ann"], "concurrency": 1}}))
        server = serving(Endless().model, api_keys=path)
        headers = {**JSON, "Authorization": f"Bearer {key}"}
        body = json.dumps({**json.loads(BODY), "stream": True})
        with server.client.stream(
            "POST", "/v1/chat/completions", content=body, headers=headers
        ) as first:
            pieces = first.iter_bytes()
            next(pieces)
            assert ask(server, Authorization=f"Bearer {key}").status_code == 429
        eventually(lambda: _asks_again(server, headers, body))

    def test_reread(self, path):
        key = add_key(path, "ann")
        keys = Keys(path)
        other = add_key(path, "bob")
        assert keys.client(other) is None
        keys.reread_or_warn()
        assert keys.client(other).name == "bob"
        path.write_text("{")
        keys.reread_or_warn()
        assert keys.client(key).name == "ann"

    @pytest.mark.parametrize(
        "text", ["[]", '{"a": 1}', '{"a": {"sha256": "x"}}', "nothing", '{"a": {"sha256": null}}']
    )
    def test_a_file_that_is_none(self, path, text):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"keys\.json"):
            Keys(path)


def _asks_again(server, headers, body):
    with server.client.stream(
        "POST", "/v1/chat/completions", content=body, headers=headers
    ) as answer:
        return answer.status_code == 200
