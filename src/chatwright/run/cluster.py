"""A Ray cluster: one that is there, or one on this machine."""

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from chatwright.errors import ClusterError
from chatwright.run.scale import Scale

__all__ = ["LOST", "Cluster", "go_to"]

log = logging.getLogger("chatwright.ray")

LOST = (RayActorError, WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError)
"""What Ray raises where a process, or its machine, is lost."""
_CONNECT_SECONDS = 5.0


def go_to(folder: Path) -> None:
    """Have a process of the cluster's find files and modules as whoever has started it.

    Args:
        folder: The working directory of that one.
    """
    own = ray.get_runtime_context().runtime_env.get("working_dir")
    if not own and folder.is_dir():  # on another machine it may be none
        os.chdir(folder)
        sys.path.insert(0, str(folder))


class Cluster:
    """A Ray cluster: one that is there, or one on this machine that ends with it.

    Args:
        address: Of one that is there; None to start Ray here, unless this process has it.

    Raises:
        ClusterError: There is none at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        """Connect to it, or start it."""
        if address is not None:
            _check(address)
        is_new = not ray.is_initialized()
        self.is_local = is_new and address is None
        self._ended = contextlib.ExitStack()
        if is_new:
            more: dict[str, Any] = {"include_dashboard": False} if self.is_local else {}
            handler = signal.getsignal(signal.SIGTERM)
            ray.init(address or "local", logging_level=logging.ERROR, **more)
            if _is_main():  # Ray's own handler exits with the signal's number
                signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
                self._ended.callback(signal.signal, signal.SIGTERM, handler)
            self._ended.callback(ray.shutdown)
        if self.is_local and not _is_loopback(ray.util.get_node_ip_address()):
            log.warning("Ray was imported before, and so it listens on all interfaces")

    def close(self) -> None:
        """Leave it; end Ray where it was started here."""
        self._ended.close()

    @property
    def machines(self) -> list[Mapping[str, float]]:
        """What each of its machines has, by Ray's names."""
        return [each["Resources"] for each in ray.nodes() if each["Alive"]]

    def lack(self, scale: Scale, count: int) -> str:
        """Return what the cluster lacks for so many replicas; nothing where it lacks nothing.

        Args:
            scale: What they need.
            count: How many.
        """
        return scale.lack(count, self.machines, ray.available_resources())

    def place(self, scale: Scale, times: int, is_stopped: Callable[[], bool]) -> None:
        """Wait until there is room for the first replicas; Ray that was started here can't grow.

        Args:
            scale: How many there are of each kind, and what they need.
            times: How many kinds there are.
            is_stopped: Tells whether to wait no longer.

        Raises:
            ClusterError: There is not; the message tells why.
        """
        count, seconds = times * max(1, scale.least), scale.place_seconds
        lack = self.lack(scale, count)
        if self.is_local and lack:
            raise ClusterError(lack)
        if self.is_local or not scale.needs:
            return
        group = ray.util.placement_group([scale.needs] * count)
        try:
            if group.wait(min(1.0, seconds)):
                return
            lack = lack or f"{count} replicas need more than is free at once on the machines"
            log.warning("%s; waiting for %g s", lack, seconds)
            deadline = time.monotonic() + seconds
            while not group.wait(min(1.0, seconds)):
                if is_stopped():
                    return
                if time.monotonic() > deadline:
                    raise ClusterError(f"{lack}; the cluster has not given it within {seconds:g} s")
        finally:
            ray.util.remove_placement_group(group)


def _check(address: str) -> None:
    """Look whether anything listens at an address: Ray itself would wait there for minutes.

    Raises:
        ClusterError: It is no address, or nothing does.
    """
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if "/" in address or not (host and port.isdecimal()):
        raise ClusterError(
            f"{address!r} is not HOST:PORT of a cluster's head; on a machine outside of the "
            "cluster, `ray job submit` runs this inside"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(f"there is no Ray cluster at {address}: {error}") from error


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
