"""The server's API as an OpenAPI document, and as a page for people: both made of what answers."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chatwright.run.serve.apis import APIS
from chatwright.run.serve.listings import listed, wire_of
from chatwright.run.serve.responses import RESPONSES_PATHS, described
from chatwright.run.serve.shapes import answer_shape, error_shape, shape
from chatwright.wires import WIRES
from chatwright.wires.wire import Server

if TYPE_CHECKING:
    from chatwright.run.serve.app import App

__all__ = ["document", "references"]

_PLACE = "#/components/schemas/"
_REFUSALS: Mapping[int, str] = {
    400: "What is asked can't be honoured; the message names the field.",
    401: "A key of this server is needed.",
    403: "The server is not called so, or a page of another origin asks.",
    404: "There is no such model here, or no such thing.",
    408: "The body did not come in time.",
    413: "The body is too long.",
    415: "The body is no JSON by its Content-Type.",
    429: "Too many requests; Retry-After says when to come again.",
    500: "The model failed.",
    502: "The model's own provider failed.",
    503: "The model's own provider is not available.",
    504: "The model did not answer in time.",
    529: "The model's own provider is overloaded.",
}
_READING = (401, 403, 404)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def references(shared: "App") -> list[BaseRoute]:
    """Return the routes `/openapi.json` and `/docs`.

    Args:
        shared: The server.
    """

    async def openapi(_: Request) -> Response:
        return JSONResponse(document(shared))

    async def docs(_: Request) -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        return Response(_page(document(shared)), 200, headers, "text/html")

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def document(shared: "App") -> dict[str, Any]:
    """Return the OpenAPI document, version 3.1.

    Args:
        shared: The server.
    """
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {}
    for path, method, operation, parts in _operations(shared):
        paths.setdefault(path, {})[method] = operation
        schemas |= parts
    for name, each in schemas.items():
        if "." not in name:  # a request, and no part of one
            each["properties"]["model"]["examples"] = [*shared.models]
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "chatwright serve", "version": version("chatwright")},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if shared.keys is not None:
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
    return made


def _operations(shared: "App") -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield paths, methods, operations, and the schemas that these refer to."""
    for api in APIS:
        answer = answer_shape(api.server)
        for path in api.paths:
            yield path, "post", *_operation(api.server, answer, api.body, stream=api.media_type)
    responses = WIRES["responses"]
    for path in RESPONSES_PATHS:
        for place, method, body, sample, parameters in described(path):
            answer = answer_shape(_server(responses)) if sample is None else shape([sample])
            stream = responses.media_type if place == path else None
            made, parts = _operation(_server(responses), answer, body, stream=stream)
            yield place, method, {**made, "parameters": _parameters(place, parameters)}, parts
    for path, (body, sample) in listed(shared).items():
        server = _server(WIRES[wire_of(path)])
        made, parts = _operation(server, shape([sample]), body)
        method = "get" if body is None else "post"
        yield path, method, {**made, "parameters": _parameters(path)}, parts
    for path, kind in {"/healthz": _JSON, "/readyz": _JSON, "/metrics": "text/plain"}.items():
        made, _ = _operation(None, {}, None)
        made["responses"]["200"]["content"] = {kind: {"schema": {}}}
        yield path, "get", made, {}


_JSON = "application/json"


def _server(wire: Any) -> Server:
    assert isinstance(wire.server, Server)  # noqa: S101  ours have both ends
    return wire.server


def _operation(
    server: Server | None, answer: Mapping[str, Any], body: Any, *, stream: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an operation, and the schemas of its request."""
    contents: dict[str, Any] = {_JSON: {"schema": answer}}
    if stream is not None:
        contents[stream] = {}  # OpenAPI 3.1 has no schema of a stream's events
    fails = {"content": {_JSON: {"schema": error_shape(server)}}}
    told = _REFUSALS if body is not None else {n: _REFUSALS[n] for n in _READING}
    made: dict[str, Any] = {
        "responses": {
            "200": {"description": "The answer.", "content": contents},
            **{str(n): {"description": why, **fails} for n, why in told.items()},
        }
    }
    if body is None:
        return made, {}
    first = (body.__doc__ or "").partition("\n")[0]
    wanted = {"schema": {"$ref": f"{_PLACE}{body.__name__}"}}
    made |= {"summary": first, "requestBody": {"required": True, "content": {_JSON: wanted}}}
    return made, body.schema_parts(_PLACE)


def _parameters(path: str, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the parameters in a path, and those of its query."""
    text = {"type": "string", "minLength": 1}
    inside = [each.partition("}")[0] for each in path.split("{")[1:]]
    return [
        *({"name": n, "in": "path", "required": True, "schema": text} for n in inside),
        *({"name": n, "in": "query", "schema": each} for n, each in (query or {}).items()),
    ]


_STYLE = (
    "body{font:1rem/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}code,pre{font-size:.9em}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}h2{margin-top:2rem}"
)


def _page(made: Mapping[str, Any]) -> str:
    """Return a document as a page without a script."""
    title = f"{made['info']['title']} {made['info']['version']}"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        '<p>The same as an OpenAPI document: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation.get('summary', ''))}</p>")
            parts += _taken(operation, made["components"]["schemas"])
            kinds = ", ".join(operation["responses"]["200"]["content"])
            parts.append(f"<p>Answers by <code>{escape(kinds)}</code>.</p>")
    return "".join(parts)


def _taken(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of what an operation takes."""
    rows = [(each["name"], each["in"], each["schema"]) for each in operation.get("parameters", ())]
    if body := operation.get("requestBody"):
        schema = schemas[body["content"][_JSON]["schema"]["$ref"].removeprefix(_PLACE)]
        needed = schema.get("required", ())
        rows += [
            (name, "required" if name in needed else "", each)
            for name, each in schema["properties"].items()
        ]
    if not rows:
        return
    yield "<table>"
    for name, note, schema in rows:
        told = escape(_kind(schema))
        yield f"<tr><td><code>{escape(name)}</code><td>{escape(note)}<td><code>{told}</code>"
    yield "</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """Return what a schema takes, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition(".")[2]
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if options := schema.get("anyOf"):
        return " | ".join(_kind(each) for each in options)
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    bounds = {"minimum": "≥", "maximum": "≤"}
    limits = [f"{sign} {schema[name]}" for name, sign in bounds.items() if name in schema]
    return " ".join([str(schema.get("type", "any")), *limits])
