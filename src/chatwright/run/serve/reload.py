"""Runs a server anew whenever the files change that its models are made of."""

import logging
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from watchfiles import PythonFilter, watch

__all__ = ["reloading"]

log = logging.getLogger("chatwright.serve")


def reloading(command: Sequence[str], listener: socket.socket, folder: Path) -> None:
    """Run a server until SIGTERM or SIGINT, and a new one in its place when files change.

    The servers share the socket: what connects in between waits for the new one, which answers
    while the old one lets its answers end. One that fails to start is replaced at the next change.

    Args:
        command: Starts a server, by the socket that `--fd` gives it.
        listener: The socket, bound and listening.
        folder: Where files are watched: Python and TOML ones, in folders below, too.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def begin() -> subprocess.Popen[bytes]:
        number = listener.fileno()
        return subprocess.Popen([*command, "--fd", str(number)], pass_fds=[number])  # noqa: S603  our own

    servers = [begin()]
    try:
        files = PythonFilter(extra_extensions=(".toml",))
        changes = watch(folder, watch_filter=files, stop_event=stop, raise_interrupt=False)
        for changed in changes:
            names = sorted({str(Path(path).relative_to(folder)) for _, path in changed})
            log.info("%s changed: a new server takes over", ", ".join(names))
            servers = [each for each in servers if each.poll() is None]
            for each in servers:
                each.terminate()
            servers.append(begin())
    finally:
        for each in servers:
            each.terminate()
        for each in servers:
            each.wait()
