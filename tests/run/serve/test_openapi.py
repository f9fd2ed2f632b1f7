"""`/openapi.json` and `/docs`: what they tell is what the server does, by schemathesis."""

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from chatwright import create_app
from chatwright.run.serve.keys import add_key
from run.serve.obliging import obliging

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
APP = create_app(
    {"m": obliging(custom_get_token_ids=lambda text: [*text.encode()])}, hosts=["testserver"]
)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)


@pytest.fixture
def client():
    return TestClient(APP)


@SCHEMA.parametrize()
@settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck])
def test_the_server_answers_as_its_document_tells(case):
    if isinstance(case.body, dict) and case.body.get("model") is not None:
        case.body["model"] = "m"
    case.call_and_validate(checks=CHECKS)


def test_every_route_of_the_apis_is_told(client):
    made = client.get("/openapi.json").json()
    told = {(path, method.upper()) for path, ways in made["paths"].items() for method in ways}
    routes = {
        (re.sub(":path", "", route.path), method)
        for route in APP.routes
        if route.path.startswith(("/v1/", "/api/", "/chat", "/models", "/responses"))
        for method in (getattr(route, "methods", None) or set()) - {"HEAD"}
    }
    assert routes
    assert routes <= told


def test_a_request_that_the_document_allows_has_its_fields(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    asked = schemas["ChatCompletion"]
    assert set(asked["required"]) == {"model", "messages"}
    assert asked["properties"]["model"]["examples"] == ["m"]
    assert asked["properties"]["n"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 8}
    assert asked["properties"]["logprobs"]["enum"] == [None, False]
    refused = client.post("/v1/chat/completions", json={"model": "m", "logprobs": True})
    assert refused.status_code == 400


def test_keys_are_told_and_asked_for(tmp_path):
    add_key(tmp_path / "keys.json", "ann")
    client = TestClient(create_app({"m": obliging()}, api_keys=tmp_path / "keys.json"))
    assert client.get("/openapi.json").status_code == 401
    assert client.get("/docs").status_code == 401


def test_the_page_has_no_script_and_may_have_none(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'"
    )
    assert "<script" not in page.text
    for told in ("POST /v1/chat/completions", "GET /v1/responses/{id}", "temperature", "≤ 2"):
        assert told in page.text
