"""What the page asks: the models, an answer's own events, its exact request, and checks."""

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatwright.deltas import Usage
from chatwright.run.serve.admission import Admission
from chatwright.run.serve.apis import Api
from chatwright.run.serve.exchange import body_of
from chatwright.run.serve.failures import HttpError, identified
from chatwright.run.serve.listings import guarded
from chatwright.run.serve.metrics import Timing
from chatwright.run.serve.served import About, Served
from chatwright.wires import WIRES
from chatwright.wires.asked import Asked
from chatwright.wires.framing import sse_event
from chatwright.wires.openai.request import ChatCompletion
from chatwright.wires.prompt import Prompt, refuse
from chatwright.wires.wire import Server
from chatwright.wires.writer import Writer

if TYPE_CHECKING:
    from chatwright.run.serve.app import App

__all__ = ["Check", "inspector"]

Check: TypeAlias = Callable[[], AsyncGenerator[Mapping[str, Any]]]
"""Checks a model, and yields what is told of it: objects whose `type` is `rule`, with the id of the
`rule` that is tried; `finding`, with what JSON reports say of one; `report`, with `passed`, `tried`
and a `summary`; or `error`, with a `message`. Closing it ends the check."""

_CHECKS_WAITING = 4


class _Inspected(ChatCompletion):
    """A request for an answer's events."""

    def prompt(self) -> Prompt:
        """Return what is asked of a chat model.

        Raises:
            InvalidRequestError: As for a chat completion; or several answers, or a whole one, are
                asked for.
        """
        if self.stream is False:
            raise refuse("stream", "events come as a stream; leave it out")
        if self.n not in (None, 1):
            raise refuse("n", "the events of one answer are told; leave it out")
        return super().prompt()


class _Writer(Writer):
    """Writes objects as they are, each with when it came, and the stream's end."""

    def __init__(self, asked: Asked) -> None:
        """Start the clock."""
        super().__init__(asked)
        self._started = time.perf_counter()

    def _told(self, kind: str, **fields: Any) -> bytes:
        at = round((time.perf_counter() - self._started) * 1e3, 3)
        return sse_event({"type": kind, "at": at, **fields})

    def feed(self, delta: Any) -> list[bytes]:
        """Take an object, and return it as a piece of the stream."""
        told = dict(delta)
        return [self._told(told.pop("type"), **told)]

    def answers(self, delta: Any) -> bool:
        """Say that nothing is a piece of an answer: heartbeats go on between all of it."""
        return False

    def end(self) -> list[bytes]:
        """Return the end mark."""
        return [self._told("done")]

    def fail(self, status: int, message: str) -> list[bytes]:
        """Return an error, and the end mark."""
        return [self._told("error", status=status, message=message), *self.end()]


class _EventWriter(_Writer):
    """Writes LangChain's events, and at their end what the answer cost."""

    _output: Any = None

    def feed(self, delta: Any) -> list[bytes]:
        """Take an event, and return it as a piece of the stream."""
        if delta["event"] == "on_chat_model_end" and not delta["parent_ids"]:
            self._output = delta["data"]["output"]
        return [self._told("event", **delta)]

    def answers(self, delta: Any) -> bool:
        """Tell whether an event is a piece of the model's own answer."""
        return delta["event"] == "on_chat_model_stream" and not delta["parent_ids"]

    def end(self) -> list[bytes]:
        """Return the cost, where it is known in US dollars, and the end mark."""
        cost = self._answered("response_metadata").get("cost") or {}
        known = cost.get("currency") == "USD"
        told = [self._told("cost", usd=cost["total"])] if known else []
        return [*told, *super().end()]

    @property
    def usage(self) -> Usage | None:
        """The tokens spent, once the answer has ended."""
        usage = self._answered("usage")
        return Usage(usage["input_tokens"], usage["output_tokens"]) if usage else None

    def _answered(self, name: str) -> Mapping[str, Any]:
        told = self._output if isinstance(self._output, dict) else {}
        return told.get(name) or {}


def _api(path: str, writer: Callable[[Asked], Writer], operation: str) -> Api:
    openai = WIRES["openai"].server
    assert openai is not None  # noqa: S101  ours has both ends
    return Api(
        paths=(path,),
        body=_Inspected,
        server=Server(read=openai.read, writer=writer, error=openai.error),
        media_type="text/event-stream",
        operation=operation,
    )


_ANSWER = _api("/inspector/answer", _EventWriter, "chat")
_CHECK = _api("/inspector/check", _Writer, "check")


def inspector(shared: "App") -> list[BaseRoute]:
    """Return the routes.

    Args:
        shared: The server.
    """
    checking = Admission(1, _CHECKS_WAITING)  # they have processes, and take minutes
    answer = _streaming(_ANSWER, shared, _answer)
    check = _streaming(_CHECK, shared, functools.partial(_check, checking=checking))
    return [
        Route("/inspector/models", guarded(_models, shared)),
        Route("/inspector/explain", guarded(_explain, shared), methods=["POST"]),
        Route("/inspector/answer", answer, methods=["POST"]),
        Route("/inspector/check", check, methods=["POST"]),
    ]


def _streaming(api: Api, shared: "App", make: Callable[..., Response]) -> Any:
    async def answer(request: Request) -> Response:
        headers = identified(uuid.uuid4().hex)
        try:
            body = await body_of(request, shared.limits)
            return make(shared, body, scope=request.scope, headers=headers)
        except Exception as error:  # noqa: BLE001  each becomes an answer
            return shared.refusing(api, error, headers)

    return answer


def _asked(shared: "App", body: Any) -> tuple[str, Served, Prompt]:
    """Return the model's name, the model, and what it is asked."""
    read = _Inspected.read(body)
    prompt = read.prompt()
    model = shared.model(read.model)
    shared.check(prompt)
    return read.model, model, prompt


def _answer(shared: "App", body: Any, **more: Any) -> Response:
    name, model, prompt = _asked(shared, body)
    told = functools.partial(model.events, prompt)
    timing = Timing(shared.metrics, _ANSWER.operation, name)
    writer = _EventWriter(Asked(model=name, messages=()))
    return shared.exchange(_ANSWER, told, writer, timing, **more)


def _check(shared: "App", body: Any, *, checking: Admission, **more: Any) -> Response:
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str):
        raise HttpError(400, "model: Field required")
    shared.model(name)
    check = shared.checks.get(name)
    if check is None:
        raise HttpError(400, f"{name} can't be checked from here: chatwright check MODEL does it")
    timing = Timing(shared.metrics, _CHECK.operation, name)
    writer = _Writer(Asked(model=name, messages=()))
    return shared.exchange(_CHECK, check, writer, timing, admission=checking, **more)


async def _explain(request: Request, shared: "App") -> Any:
    _, model, prompt = _asked(shared, await body_of(request, shared.limits))
    return {"request": await model.explained(prompt)}


async def _models(_: Request, shared: "App") -> Any:
    told = [
        _told(shared, name, await asyncio.to_thread(model.about))
        for name, model in shared.models.items()
    ]
    return {"models": told}


def _told(shared: "App", name: str, about: About) -> dict[str, Any]:
    return {
        "name": name,
        "class": about.kind,
        "inputs": ["text", *about.inputs],
        "tools": True,  # where the source can't, the model does it for it
        "structured": True,
        "parameters": about.parameters,
        "profile": about.profile,
        "checkable": name in shared.checks,
    }
