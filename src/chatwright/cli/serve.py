"""`chatwright serve`: chat models behind the APIs that tools speak."""

import contextlib
import functools
import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from chatwright.cli import app, handled
from chatwright.cli.checked import checked
from chatwright.cli.on_ray import Cpus, Gpus, Ongoing, OnRay, RayAddress, Replicas
from chatwright.cli.options import import_from_here

__all__ = ["serve"]


class _WithProgram(TyperCommand):
    """Keeps what stands behind `--`: a program and its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the program out of the arguments."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_PROGRAM] = args[at + 1 :]
            args = args[:at]
        ctx.meta[_ARGUMENTS] = [*args]  # parsing empties it
        return super().parse_args(ctx, args)


_PROGRAM = "chatwright.program"
_ARGUMENTS = "chatwright.arguments"
_Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=]MODEL…",
        help="As in chat; or: keys add NAME. Behind -- a program that is to talk with it.",
    ),
]
_Host = Annotated[str, typer.Option(help="The address to listen on.")]
_Port = Annotated[int, typer.Option(help="The port; 0 for any that is free.")]
_ApiKeys = Annotated[
    Path | None, typer.Option(help="A file of keys: who may ask. Needed beyond loopback.")
]
_Cors = Annotated[
    list[str] | None, typer.Option(help="An origin whose pages may ask; may be repeated.")
]
_Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1, help="Answers that are made at once.", show_default="64, or what replicas take"
    ),
]
_Queue = Annotated[int, typer.Option(min=0, help="Requests that may wait for that.")]
_Page = Annotated[
    bool, typer.Option("--page/--no-page", help="Whether / is a page to chat and inspect.")
]
_Resume = Annotated[
    float, typer.Option(min=0, help="Seconds that a stream waits for a lost client to come again.")
]
_Reload = Annotated[
    bool, typer.Option("--reload", help="Start anew when Python or TOML files change here.")
]
_Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where models answer: in this process, or in replicas on a Ray cluster."),
]
_Fd = Annotated[int | None, typer.Option(hidden=True)]
"""A socket that listens already: what `--reload` hands on."""


@app.command("serve", cls=_WithProgram)
@handled
def serve(
    ctx: typer.Context,
    models: _Models = None,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    api_keys: _ApiKeys = None,
    cors: _Cors = None,
    concurrency: _Concurrency = None,
    queue: _Queue = 256,
    page: _Page = True,
    resume: _Resume = 0,
    reload: _Reload = False,
    engine: _Engine = "local",
    replicas: Replicas = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    ongoing: Ongoing = None,
    ray_address: RayAddress = None,
    fd: _Fd = None,
) -> int:
    """Serve chat models by the APIs of OpenAI, Anthropic and Ollama."""
    named = models or ["smollm2"]
    if named[0] == "keys":
        return _keys(named[1:], api_keys or Path("keys.json"))
    if api_keys is None and not _is_loopback(host):
        return _needs_keys(host)
    on_ray = OnRay(engine, replicas, cpus, gpus, ongoing, ray_address)
    if reload:
        on_ray.refuse("--reload")
        return _reloading(ctx, host, port)
    _log()
    import_from_here()
    served = dict(map(_named, named))
    program = ctx.meta.get(_PROGRAM)
    listener = _listener(host, 0 if program else port) if fd is None else socket.socket(fileno=fd)
    address = _address(host, listener.getsockname()[1])
    with listener, on_ray.models(served, address) as made:
        from chatwright.asgi import create_app  # noqa: PLC0415  slow to import
        from chatwright.run.serve.limits import Limits  # noqa: PLC0415  likewise

        at_once = on_ray.at_once(concurrency, len(served))
        limits = Limits(concurrency=at_once, queue=queue, resume_seconds=resume)
        checks = {name: functools.partial(checked, model) for name, model in served.items()}
        who: dict[str, Any] = {"api_keys": api_keys, "cors": cors or (), "hosts": [host]}
        answering = create_app(made, **who, limits=limits, page=page, checks=checks)
        if program:
            return _beside(program, answering, listener, address, next(iter(served)))
        from chatwright.run.serve.server import run  # noqa: PLC0415  slow to import

        _tell(served, address, page=page)
        reread = answering.state.keys.reread_or_warn if api_keys else None
        run(answering, listener, drain_seconds=limits.drain_seconds, on_hangup=reread)
    return 0


def _named(model: str) -> tuple[str, str]:
    """Return a model's name and its string: `NAME=MODEL`, or the string's own last part."""
    name, separator, rest = model.partition("=")
    is_name = not ("://" in name or {"#", "?"} & {*name} or Path(model).exists())
    if separator and name and rest and is_name:
        return name, rest
    _, _, behind = model.rpartition("#" if "#" in model else ":")
    return Path(behind).stem if "/" in behind or behind.endswith(
        (".toml", ".gguf")
    ) else behind, model


def _tell(names: Iterable[str], address: str, *, page: bool) -> None:
    told = {"OpenAI": f"{address}/v1", "Anthropic": address, "Ollama": address}
    told |= {"Page": address} if page else {}
    lines = [f"  {what:<10} {where}" for what, where in told.items()]
    typer.echo("\n".join([f"{', '.join(names)} at {address}", *lines]), err=True)


def _needs_keys(host: str) -> int:
    typer.echo(
        f"chatwright: {host} can be reached from other machines, so that keys are needed: "
        "chatwright serve keys add NAME --api-keys keys.json, then --api-keys keys.json",
        err=True,
    )
    return 2


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for part in ("ray", "serve"):
        logging.getLogger(f"chatwright.{part}").setLevel(logging.INFO)


def _reloading(ctx: typer.Context, host: str, port: int) -> int:
    """Have servers run one after the other, each with the arguments of this one."""
    if ctx.meta.get(_PROGRAM):
        typer.echo("chatwright: --reload goes with no program beside it", err=True)
        return 2
    if not hasattr(os, "fork"):
        typer.echo("chatwright: --reload hands a socket on, which Windows does not", err=True)
        return 2
    from chatwright.run.serve.reload import reloading  # noqa: PLC0415  slow to import

    _log()
    arguments = [each for each in ctx.meta[_ARGUMENTS] if each != "--reload"]
    command = [sys.executable, "-m", "chatwright", "serve", *arguments]
    reloading(command, _listener(host, port), Path.cwd())
    return 0


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  shown only
    return f"http://{shown}:{port}"


def _keys(arguments: list[str], path: Path) -> int:
    if len(arguments) != 2 or arguments[0] != "add":  # noqa: PLR2004  the verb, and a name
        typer.echo("chatwright: it is: chatwright serve keys add NAME [--api-keys FILE]", err=True)
        return 2
    from chatwright.run.serve.keys import add_key  # noqa: PLC0415  slow to import

    try:
        key = add_key(path, arguments[1])
    except ValueError as error:
        typer.echo(f"chatwright: {error}", err=True)
        return 1
    typer.echo(key)
    typer.echo(f"It is shown this once; {path} keeps its hash.", err=True)
    return 0


def _beside(
    program: list[str], made: Any, listener: socket.socket, address: str, model: str
) -> int:
    """Run a program with the server as long as it runs, and return its exit code."""
    from chatwright.run.serve.server import in_background  # noqa: PLC0415  slow to import

    environment = {
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_MODEL": model,
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_MODEL": model,
        "OLLAMA_HOST": address,
    }
    running: list[subprocess.Popen[bytes]] = []
    with in_background(made, listener), _signals_to(running):
        try:
            running.append(subprocess.Popen(program, env={**os.environ, **environment}))  # noqa: S603  the user's own
        except FileNotFoundError:
            typer.echo(f"chatwright: there is no program {program[0]!r}", err=True)
            return 127
        code = running[0].wait()
    sys.stdout.flush()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _signals_to(running: "list[subprocess.Popen[bytes]]") -> Iterator[None]:
    """Hand signals on to a program once it runs: it ends, and we do once it has.

    What is typed at a terminal, Ctrl-C, it gets from there: to it that may mean something else.
    """

    def hand_on(number: int, _frame: object) -> None:
        for each in running:
            if number != signal.SIGINT or not (sys.stdin.isatty() or sys.platform == "win32"):
                each.send_signal(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), hand_on) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
