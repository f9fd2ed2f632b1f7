"""Rows are asked in replicas on a Ray cluster; how fast and how often is said here."""

import asyncio
import contextlib
import dataclasses
import logging
import pickle
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chatwright.errors import ClusterError, SourceConnectionError
from chatwright.langchain.model import ChatModel
from chatwright.run.batch.asking import Asker, Said
from chatwright.run.batch.failures import Trouble, TroubleError, trouble_of
from chatwright.run.batch.manifest import differences
from chatwright.run.batch.row import Job, Row
from chatwright.run.on_ray import connected, place
from chatwright.run.scale import Scale

if TYPE_CHECKING:
    from chatwright.run.actors import Actors

__all__ = ["OnRay", "RayAsker"]

_EXTRAS = "batch,ray"
_GRACE_SECONDS = 60.0
"""How much longer than an answer may take a replica that is asked may say nothing."""


@dataclass(frozen=True, kw_only=True)
class OnRay:
    """The replicas that rows are asked in.

    Args:
        make: Makes the model, in a replica: it is given how many threads may compute. It is
            pickled.
        is_loaded: Whether it is loaded there by its name, and may so be another one than here.
        scale: How many there are, what they need, and how they are asked.
        address: The cluster's, as HOST:PORT; None to start one here.
    """

    make: Callable[[int], ChatModel]
    is_loaded: bool
    scale: Scale
    address: str | None

    @property
    def at_once(self) -> int | None:
        """How many rows all replicas are asked at once; None for as many as pays."""
        return None if self.scale.target is None else self.scale.target * self.scale.most


class RayAsker:
    """Asks replicas rows, as `Asker` asks a model.

    Args:
        on_ray: They.
        job: What is asked of which model.
        seconds: How long one answer may take.
    """

    def __init__(self, on_ray: OnRay, job: Job, seconds: float) -> None:
        """Start none yet."""
        self._on_ray = on_ray
        self._job = job
        self._seconds = seconds
        self._actors: Actors | None = None
        self.ignored: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def ready(self, is_stopped: Callable[[], bool]) -> AsyncIterator[None]:
        """Have replicas ready as long as the context lasts.

        Args:
            is_stopped: Tells whether nothing is asked any more.

        Raises:
            ClusterError: There is no cluster, it can't give what is needed, or the model can't be
                loaded there.
            MissingExtraError: Ray is not installed.
        """
        stack, left = contextlib.ExitStack(), asyncio.Event()
        starting = asyncio.ensure_future(
            asyncio.to_thread(self._started, stack, lambda: is_stopped() or left.is_set())
        )
        try:
            self._actors = await asyncio.shield(starting)
            await self._actors.start(is_stopped)
            yield
        finally:
            left.set()
            with contextlib.suppress(Exception):  # told already
                await starting
            if self._actors is not None:
                await self._actors.close()
            await asyncio.to_thread(stack.close)

    def _started(self, stack: contextlib.ExitStack, is_stopped: Callable[[], bool]) -> "Actors":
        """Connect to the cluster, and find room for the replicas."""
        cluster = stack.enter_context(connected(self._on_ray.address, extras=_EXTRAS))
        scale = place(cluster, self._on_ray.scale, [self._job.name], is_stopped)
        from chatwright.run.actors import Actors  # noqa: PLC0415  an extra

        make = partial(_answering, self._on_ray, _told_of(self._job), self._seconds, scale.cpus)
        silent = self._seconds + _GRACE_SECONDS
        return Actors(cluster, self._job.name, make, scale, silent)

    async def ask(self, row: Row) -> Said:
        """Return what a replica says to a row.

        Raises:
            ClusterError: There is none any more, and none can be started.
            TroubleError: It went wrong there, or too many replicas were lost with the row.
        """
        assert self._actors is not None  # noqa: S101  inside of `ready`
        try:
            answer = await self._actors.ask(pickle.dumps(row))
        except SourceConnectionError as error:
            raise TroubleError(Trouble("ReplicaLost", str(error), "lost")) from None
        said: Said | Trouble
        said, ignored = pickle.loads(answer)  # noqa: S301  ours
        self.ignored.update(ignored)
        if isinstance(said, Trouble):
            raise TroubleError(said)
        return said


def _told_of(job: Job) -> dict[str, Any]:
    """Return a job without its model, and what tells it from another one."""
    fields = [each.name for each in dataclasses.fields(job) if each.init and each.name != "model"]
    return {"fields": {name: getattr(job, name) for name in fields}, "is": job.fingerprint()}


def _answering(
    on_ray: OnRay, told: Mapping[str, Any], seconds: float, cpus: float | None
) -> "_Answering":
    """Return what answers rows in a replica.

    Raises:
        ClusterError: The model that is loaded there is another one.
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    model = on_ray.make(max(1, int(cpus or 0)))
    job = Job(model=model, **told["fields"])
    if on_ray.is_loaded and (found := [*differences(told["is"], job.fingerprint())]):
        raise ClusterError(f"on its machine the model is another one: {'; '.join(found)}")
    if model.has_tokenizer():
        model.get_num_tokens(" ")  # what it computes with is loaded now
    return _Answering(Asker(job, seconds))


class _Answering:
    """Answers rows in a replica.

    Args:
        asker: Asks the model.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def __call__(self, row: bytes) -> bytes:
        """Return what the model says to a row, or what goes wrong, and what it ignores."""
        said: Said | Trouble
        try:
            said = await self._asker.ask(pickle.loads(row))  # noqa: S301  ours
            return pickle.dumps((said, self._ignored()))
        except Exception as error:  # noqa: BLE001  each is a row's result
            said = trouble_of(error)
        return pickle.dumps((said, self._ignored()))

    def _ignored(self) -> Counter[str]:
        ignored, self._asker.ignored = self._asker.ignored, Counter()
        return ignored
