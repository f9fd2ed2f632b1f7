"""`create_app`: chat models of any make as an ASGI app; `serve_on_ray`: in replicas, for one."""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.errors import LoadError, MissingExtraError
from chatwright.run.scale import Scale
from chatwright.wrap.function import chat_model
from chatwright.wrap.load import load
from chatwright.wrap.replica import replica

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from chatwright.run.serve.inspector import Check
    from chatwright.run.serve.limits import Limits

__all__ = ["create_app", "serve_on_ray"]

_ONE = Scale()


def create_app(
    models: Mapping[str, Any],
    *,
    api_keys: str | Path | None = None,
    cors: Sequence[str] = (),
    hosts: Sequence[str] | None = (),
    limits: "Limits | None" = None,
    page: bool = True,
    checks: "Mapping[str, Check] | None" = None,
) -> "Starlette":
    """Return an ASGI app that answers by the APIs of OpenAI, Anthropic and Ollama.

    Args:
        models: Models by the names by which clients ask for them: whatever `chat_model` takes, a
            string for `load`, or what `serve_on_ray` gives.
        api_keys: A file of keys, as `chatwright serve keys add` makes it. Default None: anybody
            may ask.
        cors: Origins whose pages may ask; `*` for any. Default: none but its own.
        hosts: Names beside those of loopback by which the server may be called where there are no
            keys; None for any. Default: no others.
        limits: What the server allows. Default: `Limits()`.
        page: Whether `/` is a page to chat and to look into answers. Default True.
        checks: What checks models, by their names: functions without arguments that yield, async,
            what the page is told of a check. Default None: the page checks none; `chatwright serve`
            gives what `chatwright check` does.

    Raises:
        LoadError: There is no model, or a string names none.
        MissingExtraError: The extra `serve` is not installed.
        ValueError: The file of keys is none.
    """
    try:
        from chatwright.run.serve.app import App, app  # noqa: PLC0415  an extra
        from chatwright.run.serve.keys import Keys  # noqa: PLC0415  likewise
        from chatwright.run.serve.limits import Limits  # noqa: PLC0415  likewise
        from chatwright.run.serve.served import Local, Served  # noqa: PLC0415  likewise
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from error
    if not models:
        raise LoadError("there is no model to serve")
    made = {
        name: each if isinstance(each, Served) else Local(name, _made(each))
        for name, each in models.items()
    }
    keys = Keys(Path(api_keys)) if api_keys is not None else None
    shared = App(made, limits or Limits(), keys, page, checks or {})
    return app(shared, origins=cors, hosts=hosts)


@contextlib.contextmanager
def serve_on_ray(
    models: Mapping[str, Any],
    scale: Scale = _ONE,
    *,
    address: str | None = None,
    name: str | None = None,
) -> "Iterator[Mapping[str, Any]]":
    """Have models answer in replicas on a Ray cluster, for `create_app`, while the context lasts.

    Requests go to a replica whose work is least, those of a session to the one that has answered
    it last. A session is what requests have in common by their header `X-Session-Id`, or by
    OpenAI's `prompt_cache_key`, or else a conversation's beginning, up to its first question. As
    long as nothing of an answer has come, a request whose replica is lost is given to another one:
    a model that does things beside answering may then do them again.

    Args:
        models: Models by their names: strings for `load`, which are loaded in replicas; or what
            `chat_model` takes, which is pickled.
        scale: How many replicas each model has, what they need, and how they are asked. Where it
            says nothing of `cpus`, each has an equal part of this machine's if Ray is started here,
            and 1 elsewhere. Default: `Scale()`, one replica.
        address: A cluster that is there, as HOST:PORT. Default None: that of `RAY_ADDRESS`; else
            Ray is started here, on loopback, and ends with the context.
        name: What the replicas' names in the cluster begin with: those of the same name are
            replaced. Default None: this machine's name and the number of this process.

    Yields:
        The models, by their names.

    Raises:
        ClusterError: There is no cluster at the address, it can't give what is needed, or a model
            can't be loaded there.
        MissingExtraError: The extra `ray`, or `serve`, is not installed.
    """
    from chatwright.run.serve.on_ray import replicated  # noqa: PLC0415  slow to import

    if not models:
        raise LoadError("there is no model to serve")
    address = address or os.environ.get("RAY_ADDRESS")
    with replicated(
        {label: partial(replica, each) for label, each in models.items()},
        scale,
        name=name or f"chatwright-{socket.gethostname()}-{os.getpid()}",
        address=None if address == "local" else address,
    ) as made:
        yield made


def _made(model: Any) -> Any:
    return load(model) if isinstance(model, str) else chat_model(model)
