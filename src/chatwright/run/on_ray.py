"""Room on a Ray cluster: it is connected to, or started, and asked for what is needed."""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chatwright.errors import MissingExtraError
from chatwright.run.scale import Scale

if TYPE_CHECKING:
    from chatwright.run.cluster import Cluster

__all__ = ["connected", "place"]

log = logging.getLogger("chatwright.ray")


@contextlib.contextmanager
def connected(address: str | None, *, extras: str) -> "Iterator[Cluster]":
    """Connect to a cluster as long as the context lasts.

    Args:
        address: The cluster's, as HOST:PORT; None to start one here.
        extras: The extras of ours that whoever calls needs.

    Yields:
        The cluster.

    Raises:
        ClusterError: There is none at the address.
        MissingExtraError: Ray is not installed.
    """
    _prepare(address)
    try:
        from chatwright.run.cluster import Cluster  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), extras) from error
    with contextlib.closing(Cluster(address)) as cluster:
        yield cluster


def place(
    cluster: "Cluster",
    scale: Scale,
    labels: Sequence[str],
    is_stopped: Callable[[], bool] = lambda: False,
) -> Scale:
    """Say what replicas need, and wait until the cluster has room for the first ones.

    Args:
        cluster: The cluster.
        scale: How many replicas there are of each kind, and what they need.
        labels: The kinds, for people.
        is_stopped: Tells whether to wait no longer.

    Returns:
        The same with `cpus`: unless told, each is given an equal part of this machine's where Ray
        is started here, and 1 elsewhere.

    Raises:
        ClusterError: It has not; the message tells why.
    """
    if scale.cpus is None:
        cpus = sum(each.get("CPU", 0.0) for each in cluster.machines)
        share = cpus // (scale.most * len(labels)) if cluster.is_local else 1.0
        scale = replace(scale, cpus=max(1.0, share))
    log.info("%s", scale.summary(labels, cluster.machines))
    most, fitting = scale.most * len(labels), scale.fitting(cluster.machines)
    if fitting < most and not scale.is_fixed:
        log.warning("of %d replicas that there may be, %d fit into the cluster", most, fitting)
    cluster.place(scale, len(labels), is_stopped)
    return scale


def _prepare(address: str | None) -> None:
    """Set what Ray reads from the environment, which it does when it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # How often it hears how many requests there are; its own 10 s are long for a burst.
    os.environ.setdefault("RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "1")
    if address is None:
        # On loopback: the default on macOS and Windows, while elsewhere it is all interfaces.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
