"""The options of commands whose models answer in replicas on a Ray cluster."""

import contextlib
import logging
import socket
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from chatwright.run.scale import Scale
from chatwright.run.serve.limits import Limits

__all__ = ["AtOnce", "Cpus", "Gpus", "OnRay", "Ongoing", "RayAddress", "Replicas"]

log = logging.getLogger("chatwright.ray")

_PANEL: Any = {"rich_help_panel": "With --engine ray"}
Replicas = Annotated[
    str | None,
    typer.Option(
        **_PANEL,
        metavar="N|MIN:MAX",
        help="Replicas of each model; MIN:MAX to scale with the requests under way.",
        show_default="1",
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option(
        **_PANEL,
        min=0,
        help="CPUs of a replica.",
        show_default="an equal part of this machine's; with --ray-address, 1",
    ),
]
Gpus = Annotated[
    float | None, typer.Option(**_PANEL, min=0, help="GPUs of a replica.", show_default="0")
]
Ongoing = Annotated[
    int | None,
    typer.Option(
        **_PANEL,
        min=1,
        help="Requests that a replica should have under way: with more, another one is started.",
        show_default="4 with MIN:MAX",
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        "--ongoing",
        **_PANEL,
        min=1,
        help="Rows that a replica is asked at once.",
        show_default="4 with MIN:MAX, else as many as pays",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        **_PANEL,
        metavar="HOST:PORT",
        help="The head of a cluster that is there.",
        show_default="RAY_ADDRESS, or Ray is started here",
    ),
]


class _Told(logging.Handler):
    """Says what is logged as commands say things: above a live display, where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        typer.echo(f"chatwright: {record.getMessage()}", err=True)


class OnRay:
    """What a command line says of replicas.

    Args:
        engine: `local` or `ray`; with the first one, nothing else may be said.
        replicas: How many: `N`, or `MIN:MAX`.
        cpus: CPUs of each.
        gpus: GPUs of each.
        ongoing: How many requests each should have under way.
        address: Of a cluster that is there.

    Raises:
        typer.BadParameter: It makes no sense.
    """

    def __init__(
        self,
        engine: str,
        replicas: str | None,
        cpus: float | None,
        gpus: float | None,
        ongoing: int | None,
        address: str | None,
    ) -> None:
        """Check it."""
        more = {"--cpus": cpus, "--gpus": gpus, "--ongoing": ongoing}
        told = {"--replicas": replicas, **more, "--ray-address": address}
        self.is_on = engine == "ray"
        for name, value in told.items():
            if value is not None and not self.is_on:
                raise typer.BadParameter(f"{name} goes with --engine ray")
        self.address = address
        least, _, most = (replicas or "1").partition(":")
        if not (least.isdecimal() and (most or least).isdecimal()):
            raise typer.BadParameter(f"--replicas is N or MIN:MAX, not {replicas!r}")
        given: dict[str, Any] = {
            name[2:]: value for name, value in more.items() if value is not None
        }
        try:
            self.scale = Scale(least=int(least), most=int(most or least), **given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def tell(self) -> None:
        """Have it said what replicas need, and what becomes of them."""
        if self.is_on:
            log.addHandler(_Told())
            log.setLevel(logging.INFO)
            log.propagate = False

    def refuse(self, option: str) -> None:
        """Refuse an option that does not go with replicas.

        Raises:
            typer.BadParameter: There are some.
        """
        if self.is_on:
            raise typer.BadParameter(f"{option} goes with no --engine ray")

    def models(
        self, served: Mapping[str, str], address: str
    ) -> contextlib.AbstractContextManager[Mapping[str, Any]]:
        """Return a context in which models can be served.

        Args:
            served: Their strings, by their names.
            address: Where they are served, which is a name that no other server has.
        """
        if not self.is_on:
            return contextlib.nullcontext(served)
        from chatwright.asgi import serve_on_ray  # noqa: PLC0415  slow to import

        name = f"chatwright-{socket.gethostname()}-{address.rpartition('/')[2]}"
        return serve_on_ray(served, self.scale, address=self.address, name=name)

    def at_once(self, asked: int | None, models: int) -> int:
        """Return how many answers are made at once: unless told, as many as replicas can be given.

        Args:
            asked: How many are asked for; None for the default.
            models: How many models there are.
        """
        usual = Limits().concurrency
        if not self.is_on or self.scale.target is None:
            return asked or usual
        wanted = self.scale.target * self.scale.most * models
        if asked and asked < wanted:
            log.warning(
                "--concurrency %d is less than the %d that replicas scale to", asked, wanted
            )
        return asked or max(usual, 2 * wanted)
