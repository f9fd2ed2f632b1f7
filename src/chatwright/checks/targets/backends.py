"""Where models are tried: with a backend that plays scripts, or as they are."""

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel

from chatwright.checks.outcome import skip
from chatwright.checks.targets.constructor import MODEL_NAME, Maker
from chatwright.deltas import Usage
from chatwright.testing import Received, Refuse, Upstream, cut_at_stop, substitute

__all__ = [
    "ANSWER",
    "CANARY",
    "IMAGE",
    "PROMPT",
    "Live",
    "Made",
    "OnUpstream",
    "Stage",
    "Substituted",
]

PROMPT = "Where did the cat sit?"
ANSWER: Sequence[Any] = (*("The ", "cat ", "sat ", "on ", "the ", "mat."), Usage(9, 11))
"""What the backend answers where a rule says nothing else."""
CANARY = "sk-canary-5f1d7c3ab94e"
"""The key that models get, to look for afterwards."""
IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
"""An image, as PNG."""
_IMAGES, _PNG = "/images/cat.png", base64.b64decode(IMAGE)

Script = Iterable[Any] | Callable[[Received], Iterable[Any]]


class Made:
    """A model, and what its backend was asked.

    Args:
        script: What the backend answers; another one may take its place. None for `ANSWER`.
        model: The model.
    """

    model: BaseChatModel

    def __init__(self, script: Script | None, model: BaseChatModel | None = None) -> None:
        """Start with no requests."""
        self.script: Script = ANSWER if script is None else script
        self.received: list[Received] = []
        if model is not None:
            self.model = model

    def answer(self, received: Received) -> Iterable[Any]:
        """Answer one request by the script in force."""
        return self.script(received) if callable(self.script) else self.script


class Stage(Protocol):
    """Makes models."""

    layer: str
    """`scripted` or `live`."""
    over_http: bool
    """Whether the backend is reached by HTTP."""
    only_async: bool
    """Whether the model refuses to be called by sync code."""

    def make(self, script: Script | None, fields: Mapping[str, Any]) -> Made:
        """Make a model.

        Args:
            script: What its backend answers; None for `ANSWER`, or whatever it likes.
            fields: The model's fields.
        """

    def limit(self, max_tokens: int) -> None:
        """Bound the answers of models that are paid for."""

    def close(self) -> None:
        """Release what the stage holds."""


class _Free:
    """Stages that cost nothing."""

    only_async = False

    def limit(self, max_tokens: int) -> None:
        """Leave the models as they are: scripts are short."""

    def close(self) -> None:
        """There is nothing to release."""


def _alone(model: BaseChatModel, fields: Mapping[str, Any]) -> BaseChatModel:
    """Return a model without the cache and the limiter that it came with: they are core's."""
    update: dict[str, Any] = {}
    if "cache" not in fields and (model.cache or get_llm_cache() is not None):
        update["cache"] = False
    if "rate_limiter" not in fields and model.rate_limiter is not None:
        update["rate_limiter"] = None
    return model.model_copy(update=update) if update else model


class OnUpstream(_Free):
    """Models that are pointed at a fake upstream, each with an address of its own.

    Args:
        maker: Makes the models.
        path: What stands between the address and the wire's own path.
    """

    layer = "scripted"
    over_http = True

    def __init__(self, maker: Maker, path: str = "/v1") -> None:
        """Start the upstream."""
        self._maker = maker
        self._path = path
        self._numbers = itertools.count()
        self._scripts: dict[str, tuple[Script, list[Received]]] = {}
        self._received: dict[str, list[Received]] = {}  # by addresses
        self.strays: list[str] = []
        self._retries = 0
        self.upstream = Upstream(self._answer).start()

    def address(self, script: Script | None, received: list[Received]) -> str:
        """Return an address that answers by a script."""
        key = f"m{next(self._numbers)}"
        self._scripts[key] = (ANSWER if script is None else script, received)
        address = f"{self.upstream.url}/{key}{self._path}"
        self._received[address] = received
        return address

    @property
    def image_address(self) -> str:
        """Where `IMAGE` can be had: some clients load what they are given the address of."""
        return f"{self.upstream.url}{_IMAGES}"

    def make(self, script: Script | None, fields: Mapping[str, Any]) -> Made:
        """Make a model that is pointed at the upstream."""
        made = Made(script)
        usual = self._maker.accepted(api_key=CANARY, model=MODEL_NAME, max_retries=self._retries)
        things = {**usual, "base_url": self.address(made.answer, made.received), **fields}
        made.model = _alone(self._made(things, fields), fields)
        made.received = self._received.get(things["base_url"], made.received)
        return made

    def _made(self, things: dict[str, Any], fields: Mapping[str, Any]) -> BaseChatModel:
        """Make a model without retries; with one where the constructor wants that."""
        try:
            return self._maker.try_make(**things)
        except Exception:
            if self._retries or "max_retries" in fields or "max_retries" not in things:
                raise
            model = self._maker.try_make(**{**things, "max_retries": 1})
            self._retries = 1
            return model

    def _answer(self, received: Received) -> Iterable[Any]:
        found = self._scripts.get(received.path.split("/")[1])
        path = received.path.partition("?")[0]
        if path == _IMAGES:
            return [Refuse(200, headers={"Content-Type": "image/png"}, body=_PNG)]
        if found and received.asked is None and (known := _about_models(path)):
            return [Refuse(200, body=json.dumps(known).encode())]
        if found is None or received.asked is None or received.wire is None:
            self.strays.append(received.path)
            return [Refuse(404, f"there is nothing at {received.path}")]
        script, seen = found
        seen.append(received)
        if refused := _unknown_choice(received):
            return [refused]
        items = script(received) if callable(script) else script
        if received.wire.quirks.stop == "reported":
            return items  # it honours them itself, and reports which it was
        return _honoured(items, [each for each in received.asked.stop if each])

    def retry_once(self) -> bool:
        """Have models retry once, which refuse to be without retries; tell whether that is new."""
        before, self._retries = self._retries, 1
        return not before

    def speak(self, dialect: str) -> None:
        """Have models made from now on be answered in a dialect of their wire; empty for none."""
        self._path = f"/{dialect}{self._path}" if dialect else self._path

    @staticmethod
    def wire_of(received: Received) -> str:
        """Return the name of the wire by which a request came; empty for none."""
        return received.wire.name if received.wire else ""

    def close(self) -> None:
        """Stop the upstream."""
        self.upstream.stop()


def _unknown_choice(received: Received) -> Refuse | None:
    """Return what APIs answer to a `tool_choice` of a type that they do not know.

    By https://platform.claude.com/docs/en/api/messages, where it is an object, and
    https://platform.openai.com/docs/api-reference/chat/create, where it may be a string as well.
    """
    choice = received.body.get("tool_choice")
    anthropic = OnUpstream.wire_of(received) == "anthropic"
    kinds = "an object" if anthropic else "a string or an object"
    if choice is not None and not isinstance(choice, Mapping if anthropic else Mapping | str):
        return Refuse(400, f"tool_choice: {choice!r} is not {kinds}")
    named = choice if isinstance(choice, Mapping) else {}
    inner = named.get("function")
    name = (inner if isinstance(inner, Mapping) else named).get("name", "")
    if not isinstance(name, str):
        return Refuse(400, f"tool_choice: the name {name!r} is not a string")
    kind = named.get("type")
    if not anthropic or kind in (None, "auto", "any", "tool", "none"):
        return None
    return Refuse(400, f"tool_choice: the type {kind!r} is none of auto, any, tool, none")


def _about_models(path: str) -> Mapping[str, Any]:
    """Return what a server says of its models, where it is asked: some clients do so first.

    By https://platform.openai.com/docs/api-reference/models and Ollama's docs/api.md.
    """
    model = {"id": MODEL_NAME, "object": "model", "created": 1700000000, "owned_by": "check"}
    ollamas = {"name": MODEL_NAME, "model": MODEL_NAME, "size": 1, "digest": "0", "details": {}}
    known: Mapping[str, Mapping[str, Any]] = {
        "/models": {"object": "list", "data": [model]},
        f"/models/{MODEL_NAME}": model,
        "/api/tags": {"models": [ollamas]},
        "/api/show": {"details": {}, "model_info": {}, "capabilities": ["completion", "tools"]},
        "/api/version": {"version": "0.12.0"},
    }
    return next((told for end, told in known.items() if path.endswith(end)), {})


def _honoured(items: Iterable[Any], stops: Sequence[str]) -> Iterable[Any]:
    """Return a script as a server plays it that honours stop sequences: it leaves them out."""
    return cut_at_stop(items, stops) if stops else items


class Substituted(_Free):
    """Chatwright's own models: their sources are replaced by scripts.

    Args:
        maker: Makes the models.
    """

    layer = "scripted"
    over_http = False

    def __init__(self, maker: Maker) -> None:
        """Keep it."""
        self._maker = maker

    def make(self, script: Script | None, fields: Mapping[str, Any]) -> Made:
        """Make a model whose source is a script."""
        made = Made(script)
        model = _alone(self._maker.try_make(**fields), fields)
        made.model = substitute(model, made.answer, made.received)
        return made


class Live(_Free):
    """A model as it is.

    Args:
        maker: Makes the models.
        model: The model itself, where there is one.
    """

    layer = "live"
    over_http = False

    def __init__(self, maker: Maker, model: BaseChatModel | None = None) -> None:
        """Keep it."""
        self._maker = maker
        self._model = model
        self._max_tokens = 64

    def make(self, script: Script | None, fields: Mapping[str, Any]) -> Made:
        """Return the model, or make one where fields are wanted."""
        if script is not None:
            skip("the rule needs a backend that plays a script")
        if self._model is None or fields:
            return Made(None, self._bounded(self._maker.try_make(**fields)))
        return Made(None, self._bounded(self._model))

    def limit(self, max_tokens: int) -> None:
        """Bound the answers, where the model has a field for it that is not set."""
        self._max_tokens = max_tokens

    def _bounded(self, model: BaseChatModel) -> BaseChatModel:
        unset = getattr(model, "max_tokens", 0) is None and "max_tokens" in type(model).model_fields
        return model.model_copy(update={"max_tokens": self._max_tokens}) if unset else model
