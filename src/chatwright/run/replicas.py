"""Replicas on a Ray cluster: whatever answers, in processes of its own.

Ray Serve starts the replicas, replaces those that die, scales them by the requests under way, and
hands requests to them; it calls no one by HTTP here. What is asked of a replica is an async
generator's: its pieces come as they are made, and whoever stops reading cancels it.
"""

import asyncio
import contextlib
import logging
import random
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.request_router import RequestRouter
from ray.serve.schema import ApplicationStatus

from chatwright.errors import ClusterError, EngineError, SourceConnectionError
from chatwright.run.cluster import LOST, Cluster, go_to
from chatwright.run.piled import piled
from chatwright.run.scale import Scale

__all__ = ["Deployments", "Replicas", "Sticky"]

Host: TypeAlias = Callable[..., AsyncGenerator[Any]]

log = logging.getLogger("chatwright.ray")

_SESSIONS = 10_000
"""For how many sessions it is known which replica has answered."""
_COMPARED = 8
"""How many replicas are compared to find the one with the least to do."""
_POLL_SECONDS = 0.2
_TELL_SECONDS = 20.0
_END_SECONDS = 600.0
"""For how long a replica that is no longer needed may go on with what it has begun."""
_SAFE = ":/@+,"  # Serve's names may have all but a #
_MARK = "\N{SYMBOL FOR RECORD SEPARATOR}"
_QUIET: Any = {"log_level": "WARNING", "enable_access_log": False}


class Sticky(RequestRouter):
    """Gives a session's requests to the replica that has answered it last, unless that is full.

    Others go to the one with the least to do. A call's first argument is its session.
    """

    def initialize_state(self, **_: Any) -> None:
        """Begin with no session."""
        self._homes: OrderedDict[str, Any] = OrderedDict()

    async def choose_replicas(
        self, candidate_replicas: list[Any], pending_request: Any = None
    ) -> list[list[Any]]:
        """Return replicas to choose from: the session's own first."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True
        home = self._homes.get(pending_request.args[0]) if pending_request is not None else None
        own = [each for each in candidate_replicas if each.replica_id == home]
        others = [each for each in candidate_replicas if each.replica_id != home]
        return [own, random.sample(others, min(len(others), _COMPARED))]

    def on_request_routed(self, pending_request: Any, replica_id: Any, result: Any) -> None:
        """Remember where a session's request went."""
        session = pending_request.args[0]
        if session is not None:
            self._homes[session] = replica_id
            self._homes.move_to_end(session)
            if len(self._homes) > _SESSIONS:
                self._homes.popitem(last=False)


class _Replica:
    """What runs in a replica's process.

    Args:
        make: Makes what answers there.
        folder: The working directory of whoever has started it.
    """

    def __init__(self, make: Callable[[], Host], folder: Path) -> None:
        go_to(folder)
        try:
            self._host = make()
        except Exception as error:
            # Serve tells of it by a traceback's text, in which this can be found.
            raise ClusterError(f"{_MARK}{type(error).__name__}: {error}{_MARK}") from error

    async def ask(self, session: str | None, *args: Any) -> AsyncGenerator[list[Any]]:
        """Yield pieces of an answer; at once an empty list, which says that it is made here."""
        yield []
        async with contextlib.aclosing(piled(self._host(*args))) as piles:
            async for pile in piles:
                yield pile


class Replicas:
    """What answers in any of several replicas.

    Args:
        name: Its name, for errors.
        handle: Serve's.
        scale: How they are asked.
    """

    def __init__(self, name: str, handle: Any, scale: Scale) -> None:
        """Keep all of it."""
        self._name = name
        self._handle = handle.options(stream=True, method_name="ask")
        self._scale = scale

    async def ask(self, session: str | None, *args: Any) -> AsyncGenerator[Any]:
        """Yield what a replica answers; where that is lost before it has, what another one does.

        Args:
            session: What requests have in common that should go to the same replica; None where
                any will do.
            *args: What is asked.

        Raises:
            SourceConnectionError: The replica is lost in the middle of its answer, or too many are.
            EngineError: There is no replica that takes it, and was none for too long.
        """
        for left in reversed(range(self._scale.attempts)):
            begun = False
            try:
                async with contextlib.aclosing(self._asked(session, args)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
            except LOST as error:
                if begun or not left:
                    raise SourceConnectionError(
                        f"the replica of {self._name} that was answering is lost"
                    ) from error
                log.warning("a replica of %s is lost: its request goes to another", self._name)
            else:
                return

    async def _asked(self, session: str | None, args: Sequence[Any]) -> AsyncGenerator[Any]:
        response, seconds = self._handle.remote(session, *args), self._scale.wait_seconds
        ended = False
        try:
            try:
                async with asyncio.timeout(seconds):
                    await anext(response)
            except TimeoutError:
                waited = f"no replica of {self._name} was free within {seconds:g} s"
                error = EngineError(f"{waited}; try again later")
                error.status = 503
                raise error from None
            async for pile in response:
                for piece in pile:
                    yield piece
            ended = True
        finally:
            if not ended:
                response.cancel()


class Deployments:
    """Replicas of models on a cluster, which Ray Serve starts, replaces and scales.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Begin with none."""
        self._cluster = cluster
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        self._apps: dict[str, str] = {}

    def close(self) -> None:
        """End the replicas, unless they end with Ray."""
        if not self._cluster.is_local:
            for app in self._apps.values():
                serve.delete(app)

    def remove(self, names: Iterable[str], seconds: float) -> None:
        """End what a killed server has left under names: it has what others need, and no use.

        Args:
            names: What stands for replicas in the cluster.
            seconds: How long that may take.
        """
        left = serve.status().applications.keys() & {quote(name, safe=_SAFE) for name in names}
        for app in left:
            log.warning("%s is left of another server, and is ended", app)
            serve.delete(app, _blocking=False)
        actors = ray.util.list_named_actors(all_namespaces=True) if left else ()
        for each in actors:  # they would first end what nobody waits for any more
            if any(f"::{app}#" in each["name"] for app in left):
                with contextlib.suppress(ValueError):  # it has ended
                    ray.kill(ray.get_actor(each["name"], each["namespace"]))
        deadline = time.monotonic() + seconds
        while left & serve.status().applications.keys() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def deploy(
        self,
        name: str,
        label: str,
        make: Callable[[], Host],
        scale: Scale,
    ) -> Replicas:
        """Start replicas, and return them; `ready` waits until they are there.

        Args:
            name: What stands for them in the cluster; `remove` ends others of the name.
            label: What users know them by.
            make: Makes, in a replica, what answers there: it is called with what is asked, and
                returns an async generator. It is pickled.
            scale: How many, what they need, and how they are asked.
        """
        if not self._apps:
            told = {**_QUIET, "log_level": "CRITICAL"} if self._cluster.is_local else _QUIET
            serve.start(proxy_location="Disabled", logging_config=told)  # we tell what fails
        needs = {"num_cpus": scale.cpus, "num_gpus": scale.gpus}
        made = serve.deployment(
            name=quote(label, safe=_SAFE),
            ray_actor_options=needs,
            logging_config=_QUIET,
            request_router_config=RequestRouterConfig(request_router_class=Sticky),
            graceful_shutdown_timeout_s=_END_SECONDS,
            graceful_shutdown_wait_loop_s=_POLL_SECONDS,
            health_check_period_s=1.0,
            max_constructor_retry_count=1,
            **_options(scale),
        )(_Replica)
        app = quote(name, safe=_SAFE)
        self._apps[label] = app
        target = serve.RunTarget(made.bind(make, Path.cwd()), app, None)
        (handle,) = serve.run_many([target], wait_for_applications_running=False)
        return Replicas(label, handle, scale)

    def ready(self) -> None:
        """Wait until all that was deployed answers.

        Raises:
            ClusterError: It can't.
        """
        tell = time.monotonic() + _TELL_SECONDS
        for label, app in self._apps.items():
            while (now := serve.status().applications[app]).status != ApplicationStatus.RUNNING:
                if now.status != ApplicationStatus.DEPLOYING:
                    raise ClusterError(f"{label} can't be started in a replica: {_why(now)}")
                if time.monotonic() > tell:
                    log.warning("%s is being started; %s", label, _why(now))
                    tell = time.monotonic() + _TELL_SECONDS
                time.sleep(_POLL_SECONDS)


def _options(scale: Scale) -> dict[str, Any]:
    """Return what a deployment of Serve's has to be told of its replicas."""
    options: dict[str, Any] = {"max_ongoing_requests": 2 * (scale.target or _SESSIONS)}
    if scale.is_fixed:
        return {**options, "num_replicas": scale.most}
    scaling = AutoscalingConfig(
        min_replicas=scale.least,
        max_replicas=scale.most,
        target_ongoing_requests=scale.target,
        upscale_delay_s=scale.up_seconds,
        downscale_delay_s=scale.down_seconds,
        look_back_period_s=12.0,  # Ray warns of less
    )
    return {**options, "autoscaling_config": scaling}


def _why(status: Any) -> str:
    """Return why an application is not running, in the words of what failed, or else in Serve's."""
    messages = [status.message, *(each.message for each in status.deployments.values())]
    text = "\n".join(messages).strip()
    found = re.search(f"{_MARK}(.*?){_MARK}", text, re.DOTALL)
    return found[1] if found else text.rpartition("\n")[2]
