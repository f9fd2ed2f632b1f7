"""Has Chatwright see the standard library as it is on Windows: what is lacking there is hidden.

Python imports this where its folder is in PYTHONPATH, in processes that one starts, too.
Other libraries see what is there: they choose by the platform.
"""

import asyncio
import builtins
import fnmatch
import sys
import types

MODULES = {
    *("crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource"),
    *("spwd", "syslog", "termios", "tty"),
}
LACKS = {
    "os": "*fork *forkpty killpg *pgid *pgrp setsid getsid *uid *gid *groups register_at_fork "
    "sched_* sysconf* uname getloadavg wait wait3 wait4 waitid WIF* WEXIT* WTERM* WNOHANG nice "
    "mkfifo "
    "mknod *chown chroot pread* pwrite* readv writev *statvfs ttyname openpty login_tty posix_* "
    "O_NONBLOCK O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_SYNC O_DSYNC EX_* sync fdatasync",
    "signal": "SIGKILL SIGHUP SIGQUIT SIGTSTP SIGCONT SIGSTOP SIGCHLD SIGALRM SIGUSR* SIGPIPE "
    "SIGWINCH "
    "SIGTT* alarm *itimer ITIMER* pthread_* sig*wait* sigpending pause siginterrupt SIG_*BLOCK "
    "SIG_SETMASK",
    "select": "poll epoll kqueue POLL* EPOLL*",
    "socket": "AF_UNIX SO_REUSEPORT MSG_DONTWAIT MSG_NOSIGNAL TCP_USER_TIMEOUT recv_fds send_fds",
    "time": "tzset pthread_getcpuclockid",
    "asyncio": "*unix* *ChildWatcher* *child_watcher",
}
actual = builtins.__import__


class Copy(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, module, lacks):
        super().__init__(module.__name__)
        kept = {
            name: value
            for name, value in vars(module).items()
            if name == "SIG_DFL" or not any(fnmatch.fnmatchcase(name, each) for each in lacks)
        }
        vars(self).update(kept)


copies = {}


def see(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002
    """Import as `import` does; for Chatwright's modules, what Windows has."""
    found = actual(name, globals, locals, fromlist, level)
    ours = str((globals or {}).get("__name__", "")).partition(".")[0] == "chatwright"
    if not ours or level:
        return found
    if name.partition(".")[0] in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}: Windows has none", name=name)
    if found.__name__ in LACKS:
        lacks = LACKS[found.__name__].split()
        return copies.setdefault(found.__name__, Copy(found, lacks))
    return found


def no_signals(*_):
    raise NotImplementedError


builtins.__import__ = see
if hasattr(asyncio, "SelectorEventLoop") and sys.platform != "win32":
    asyncio.SelectorEventLoop.add_signal_handler = no_signals
    asyncio.SelectorEventLoop.remove_signal_handler = no_signals
