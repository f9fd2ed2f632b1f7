"""Which models there are, as each API tells it, and what is asked of them beside answers."""

import hashlib
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chatwright.run.serve.exchange import body_of
from chatwright.run.serve.failures import REQUEST_ID, HttpError, failure_of, identified
from chatwright.run.serve.served import Served
from chatwright.wires import WIRES
from chatwright.wires.anthropic.request import CountTokens
from chatwright.wires.ollama.request import Show
from chatwright.wires.prompt import Body

if TYPE_CHECKING:
    from chatwright.run.serve.app import App

__all__ = ["guarded", "listed", "listings", "wire_of"]

_OLLAMA = "0.13.0"
"""The version of Ollama's API that this speaks: clients ask for one."""


def listings(shared: "App") -> list[BaseRoute]:
    """Return the routes.

    Args:
        shared: The server.
    """
    return [
        Route("/v1/models", guarded(_models, shared)),
        Route("/models", guarded(_models, shared)),
        Route("/v1/models/{name:path}", guarded(_model, shared)),
        Route("/v1/messages/count_tokens", guarded(_count, shared), methods=["POST"]),
        Route("/api/tags", guarded(_tags, shared)),
        Route("/api/ps", guarded(_tags, shared)),
        Route("/api/show", guarded(_show, shared), methods=["POST"]),
        Route("/api/version", guarded(_version, shared)),
    ]


def guarded(answer: Callable[..., Any], shared: "App") -> Any:
    """Return what answers with JSON, and with an error of the wire that was asked by.

    Args:
        answer: Is given the request and the server, and returns JSON.
        shared: The server.
    """

    async def guard(request: Request) -> Response:
        told = identified(uuid.uuid4().hex)
        try:
            return JSONResponse(await answer(request, shared), headers=told)
        except Exception as error:  # noqa: BLE001  each becomes an answer
            failure = failure_of(error)
            body = failure.body(
                WIRES[wire_of(request.url.path, request.headers)].server, told[REQUEST_ID]
            )
            headers = {**failure.headers(), **told}
            return Response(body, failure.status, headers, "application/json")

    return guard


def wire_of(path: str, headers: Collection[str] = ()) -> str:
    """Return the name of the wire that a request speaks.

    Args:
        path: Its path.
        headers: The names of its headers: some paths are OpenAI's and Anthropic's.
    """
    if path.startswith("/api/"):
        return "ollama"
    is_anthropics = path.startswith("/v1/messages") or "anthropic-version" in headers
    return "anthropic" if is_anthropics else "openai"


def _about(name: str, shared: "App") -> dict[str, Any]:
    """Return a model as OpenAI and Anthropic tell it: both look at their own fields only."""
    made = datetime.fromtimestamp(shared.started, UTC).isoformat().replace("+00:00", "Z")
    return {
        "id": name,
        "object": "model",
        "created": shared.started,
        "owned_by": "chatwright",
        "type": "model",
        "display_name": name,
        "created_at": made,
    }


async def _models(_: Request, shared: "App") -> Any:
    data = [_about(name, shared) for name in shared.models]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, "has_more": False, **ends}


async def _model(request: Request, shared: "App") -> Any:
    name = request.path_params["name"]
    shared.model(name)
    return _about(name, shared)


async def _count(request: Request, shared: "App") -> Any:
    body = CountTokens.read(await body_of(request, shared.limits))
    model = shared.model(body.model)
    tools, _ = body.functions()
    if not model.about().counts_tokens:
        raise HttpError(404, f"{body.model} has no tokenizer, so that tokens can't be counted")
    return {"input_tokens": await model.count(body.conversation(), tools)}


def _shown(name: str, model: Served, shared: "App") -> dict[str, Any]:
    kind = model.about().kind
    made = datetime.fromtimestamp(shared.started, UTC).isoformat()
    details = {
        "parent_model": "",
        "format": "chatwright",
        "family": kind,
        "families": [kind],
        "parameter_size": "",
        "quantization_level": "",
    }
    return {
        "name": name,
        "model": name,
        "modified_at": made,
        "size": 0,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": details,
    }


async def _tags(_: Request, shared: "App") -> Any:
    return {"models": [_shown(name, each, shared) for name, each in shared.models.items()]}


async def _show(request: Request, shared: "App") -> Any:
    body = Show.read(await body_of(request, shared.limits))
    name = body.model or body.name
    if not name:
        raise HttpError(400, "model: Field required")
    return _details(name, shared.model(name), shared)


def _details(name: str, model: Served, shared: "App") -> dict[str, Any]:
    abilities = ["completion", "tools"]
    abilities += ["vision"] if "image" in model.about().inputs else []
    shown = _shown(name, model, shared)
    return {
        "modelfile": "",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": shown["details"],
        "model_info": {"general.architecture": "chatwright"},
        "capabilities": abilities,
        "modified_at": shown["modified_at"],
    }


def listed(shared: "App") -> dict[str, tuple[type[Body] | None, Any]]:
    """Return what the routes take and answer, by their paths: a body, and a sample of an answer.

    Args:
        shared: The server.
    """
    name, model = next(iter(shared.models.items()))
    about = _about(name, shared)
    ends = {"first_id": name, "last_id": name}
    models = {"object": "list", "data": [about], "has_more": False, **ends}
    tags = {"models": [_shown(name, model, shared)]}
    return {
        "/v1/models": (None, models),
        "/models": (None, models),
        "/v1/models/{name}": (None, about),
        "/v1/messages/count_tokens": (CountTokens, {"input_tokens": 1}),
        "/api/tags": (None, tags),
        "/api/ps": (None, tags),
        "/api/show": (Show, _details(name, model, shared)),
        "/api/version": (None, {"version": _OLLAMA, "chatwright": version("chatwright")}),
    }


async def _version(_: Request, __: "App") -> Any:
    return {"version": _OLLAMA, "chatwright": version("chatwright")}
