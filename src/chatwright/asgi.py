"""`create_app`: chat models of any make as an ASGI app."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.errors import LoadError, MissingExtraError
from chatwright.wrap.function import chat_model
from chatwright.wrap.load import load

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from chatwright.run.serve.inspector import Check
    from chatwright.run.serve.limits import Limits

__all__ = ["create_app"]


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
        models: Models by the names by which clients ask for them: whatever `chat_model` takes, or
            a string for `load`.
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


def _made(model: Any) -> Any:
    return load(model) if isinstance(model, str) else chat_model(model)
