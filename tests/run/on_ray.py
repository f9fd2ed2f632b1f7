"""A Ray cluster on this machine, for tests: a head without CPUs, and workers with two each.

As a program it runs one; `cluster()` starts that, so that Ray's threads, and what it warns of, are
none of pytest's.
"""

import contextlib
import os
import secrets
import subprocess
import sys

import psutil

WORKERS, CPUS = 2, 2
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    # Ray's own limits take a busy machine for a dead one: 30 s for a head, 10 s for a sign of life.
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_health_check_timeout_ms": "60000",
}
STARTS = 3
"""How often a cluster is tried to start: Ray gives each of its nodes 30 s."""


def environment():
    """Return the environment of a process of the cluster's, or of one that connects to it."""
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class NotStartedError(Exception):
    """Ray has not started what it was asked for in its time."""


class Running:
    """A cluster that runs in a process of its own."""

    def __init__(self, process):
        self._process = process
        self.address = self._told()

    def _told(self):
        line = self._process.stdout.readline()
        if not line:
            raise NotStartedError("the cluster's process has ended; what it says is above")
        return line.split()[-1]

    def kill_a_worker(self):
        """Kill all that runs on one of the workers; `add_a_worker` puts another in its place."""
        self._asked("kill")

    def add_a_worker(self):
        self._asked("add")

    def _asked(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._told() == what

    def replicas(self, of):
        """Return the processes of a model's replicas, by their numbers."""
        found = psutil.Process(self._process.pid).children(recursive=True)
        return [each.pid for each in found if is_replica(each, of)]

    def actors(self):
        """Return the processes of a batch's replicas, likewise."""
        found = psutil.Process(self._process.pid).children(recursive=True)
        return [each.pid for each in found if is_actor(each)]


def is_actor(process):
    """Tell whether a process answers rows of a batch."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).startswith("ray::_Actor")
    return False


def is_replica(process, of):
    """Tell whether a process is a replica; of a busy one's title Ray cuts the beginning."""
    with contextlib.suppress(psutil.Error):
        title = " ".join(process.cmdline())
        return title.startswith("ray::") and f"-{of}" in title and f":{of}" in title.split("-")[-1]
    return False


@contextlib.contextmanager
def cluster():
    """Run a cluster, and yield it."""
    with contextlib.ExitStack() as stack:
        yield _started(stack)


def _started(stack):
    for left in reversed(range(STARTS)):
        try:
            return Running(stack.enter_context(_process()))
        except NotStartedError:
            if not left:
                raise


@contextlib.contextmanager
def _process():
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(60)


def main():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    workers = [made.add_node(num_cpus=CPUS) for _ in range(WORKERS)]
    print(made.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            made.remove_node(workers.pop(), allow_graceful=False)
        else:
            workers.append(made.add_node(num_cpus=CPUS))
        print(line.strip(), flush=True)
    made.shutdown()


if __name__ == "__main__":
    main()
