"""llama.cpp's server core inside this process. The one file that imports xllamacpp.

An engine is a set of weights in memory. It lives outside the models: all models of the process that
name the same options share one, and it is freed with the last of them.
"""

import atexit
import contextlib
import ctypes
import functools
import http.client
import json
import logging
import os
import re
import secrets
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chatwright.core.bridge import Channel, Pump, Put
from chatwright.errors import (
    EngineError,
    InvalidRequestError,
    MissingExtraError,
    WeightsError,
)
from chatwright.wrap.gguf.exchange import Exchange, as_exception
from chatwright.wrap.gguf.gate import Gate

__all__ = ["Engine", "EngineOptions", "library", "shared"]

_log = logging.getLogger("chatwright.llama_cpp")
_LEVELS = {"D": logging.DEBUG, "I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR}
_VERBOSITY = {logging.DEBUG: 4, logging.INFO: 3, logging.WARNING: 2}
_EXIT_SECONDS = 5.0
LARGE_BATCH = 512
SMALL_BATCH = 128
"""Prompt tokens in one go: a core takes a second for them; 512 would be a twentieth faster."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What tells one engine from another; see the fields of `ChatGGUF`."""

    path: str
    n_ctx: int
    n_parallel: int
    n_batch: int | None
    n_threads: int | None
    n_gpu_layers: int | None
    chat_template: str | None
    lora: tuple[tuple[str, float], ...]
    mmproj: str | None = None


class Engine:
    """One set of weights; loaded with the first request.

    Args:
        options: What to load, and how.
    """

    def __init__(self, options: EngineOptions) -> None:
        """Remember what to load."""
        self.options = options
        self._lock = threading.Lock()
        self._gate = Gate(options.n_parallel)
        self._server: Any = None
        self.threads = 0  # that compute, once it is loaded
        self._properties: Mapping[str, Any] = {}
        self._key = secrets.token_urlsafe(32)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle and copy by the options: weights are never copied."""
        return shared, (self.options,)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        """Return the engine itself: weights are never copied."""
        return self

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._server is not None

    @property
    def known(self) -> bool:
        """Whether `properties` are at hand."""
        return bool(self._properties)

    @property
    def queue_size(self) -> int:
        """How many requests wait for a slot."""
        return self._gate.queue_size

    @property
    def address(self) -> str:
        """The loopback address of llama.cpp's own HTTP listener, which wants our random key."""
        return str(self._load().listening_address)

    def chat(self, body: Mapping[str, Any], *, timeout: float | None, report: bool) -> Pump:
        """Answer one chat request.

        Args:
            body: llama.cpp's chat completion request.
            timeout: Seconds that the answer may take, queueing included; None for no limit.
            report: Whether usage and timings come with every piece, for an answer that may be
                ended before the engine ends it, instead of once at the end.

        Returns:
            A source of deltas.
        """
        channel: Channel[Any] = Channel()

        def produce(put: Put) -> None:
            Exchange(channel, put, timeout=timeout, report=report).run(self.complete, body)

        return Pump(produce, channel)

    def complete(
        self,
        body: bytes,
        receive: Callable[[bytes], bool],
        channel: Channel[Any],
        deadline: float | None,
    ) -> bool:
        """Hand the request to llama.cpp once a slot is free; return whether it came to that."""
        server = self._load()
        _active.add(channel)
        try:
            with self._gate.place(channel, deadline) as admitted:
                if admitted and not channel.closed:
                    server.handle_chat_completions(body, receive)
                return admitted
        except (RuntimeError, ValueError) as error:  # media that it can't fetch or decode
            raise InvalidRequestError(f"llama.cpp refuses the request: {error}") from error
        finally:
            _active.discard(channel)

    @property
    def properties(self) -> Mapping[str, Any]:
        """What llama.cpp tells of the weights and their chat template (its `/props`)."""
        if not self._properties:
            self._properties = self._ask("GET", "/props")
        return self._properties

    def render(self, body: Mapping[str, Any]) -> str:
        """Return the prompt that the chat template makes of a chat request.

        Raises:
            InvalidRequestError: The template refuses the messages.
        """
        return str(self._ask("POST", "/apply-template", body)["prompt"])

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of the tokens of `text`, special tokens written in it included.

        Raises:
            EngineError: llama.cpp refused.
        """
        return list(self._ask("POST", "/tokenize", {"content": text})["tokens"])

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask llama.cpp's own listener: xllamacpp has no function for this."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(verb, path, json.dumps(body) if body else None, headers)
            answer = json.loads(connection.getresponse().read())
        if "error" in answer:
            raise as_exception(answer["error"])
        return answer

    def abandon(self) -> object:
        """Forget the loaded weights without freeing them, and return them."""
        server = self._server
        self.__init__(self.options)  # type: ignore[misc]  # as if it had never been loaded
        return server

    def _load(self) -> Any:
        with self._lock:
            if self._server is None:
                self._server, self.threads = _open(self.options, self._key)
                _tell_if_crowded()
            return self._server


# Opening.


def _open(options: EngineOptions, key: str) -> tuple[Any, int]:
    """Load the weights; return llama.cpp's server, and how many threads it computes with.

    xllamacpp holds the GIL while it loads: nothing else runs in the process meanwhile, so that
    what llama.cpp writes to stderr in that time is its log and nobody else's.

    Raises:
        EngineError: The process was forked from one that had used llama.cpp.
        MissingExtraError: xllamacpp is not installed.
        WeightsError: llama.cpp can't use the file.
    """
    xllamacpp = _xllamacpp()
    if _forked:
        raise EngineError(
            "llama.cpp can't be used in a process that was forked from one that had used it; start "
            "processes by multiprocessing's 'spawn' or 'forkserver' instead"
        )
    params = xllamacpp.CommonParams()
    params.model.path = options.path
    params.n_ctx = options.n_ctx * options.n_parallel  # llama.cpp divides it among the slots
    params.n_parallel = options.n_parallel
    if options.n_threads is not None:
        params.cpuparams.n_threads = options.n_threads
        params.cpuparams_batch.n_threads = options.n_threads
    if options.n_gpu_layers is not None:
        params.n_gpu_layers = options.n_gpu_layers
    # What llama.cpp can fit to the memory is how many layers a GPU takes; it loads twice for that.
    gpus = [each for each in xllamacpp.get_device_info() if int(each["type"]) > 0]
    params.fit_params = options.n_gpu_layers is None and bool(gpus)
    whole = gpus or options.mmproj is not None  # some LLMs have to see all of an image at once
    params.n_batch = options.n_batch or (LARGE_BATCH if whole else SMALL_BATCH)
    if options.chat_template is not None:
        params.chat_template = options.chat_template
    if options.mmproj is not None:
        params.mmproj.path = options.mmproj
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in options.lora
    ]
    # Its HTTP listener can't be switched off; so it is locked.
    params.api_keys = [key]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.warmup = False  # the one token below does it
    params.verbosity = next((v for k, v in _VERBOSITY.items() if _log.isEnabledFor(k)), 1)
    server, log = _captured_stderr(functools.partial(_construct, xllamacpp, params))
    if isinstance(server, RuntimeError):
        raise WeightsError(_load_failure(options, log)) from server
    for level, line in re.findall(r"^[\d.]+ ([DIWE]) (.*)$", log, re.MULTILINE):
        _log.log(_LEVELS[level], "%s", line.strip())
    # The constructor returns before the engine's loop runs, and a server that is freed before its
    # loop runs hangs for ever (xllamacpp's server.cpp: `set_value(0)` precedes `start_loop()`).
    # One token makes sure that it runs, and warms it up.
    server.handle_completions({"prompt": " ", "max_tokens": 1, "cache_prompt": False})
    return server, params.cpuparams.n_threads


def _tell_if_crowded() -> None:
    """Warn where engines have more threads than there are cores, be they idle or not.

    libgomp, which llama.cpp computes by, then sleeps between any two steps instead of waiting
    (`gomp_throttled_spin_count_var`): 15 tokens/s instead of 80 on two cores.
    """
    if sys.platform != "linux":
        return
    cores = len(os.sched_getaffinity(0))
    with _engines_lock:
        threads = [each.threads for each in _engines.values() if each.threads > 1]
    if len(threads) > 1 and sum(threads) > cores:
        _log.warning(
            "%d engines in this process have %d threads for %d cores, so that each is several "
            "times slower, though the others be idle; give their models a smaller n_threads",
            len(threads),
            sum(threads),
            cores,
        )


def _construct(xllamacpp: Any, params: Any) -> Any:
    global _constructed  # noqa: PLW0603  see `_after_fork_in_child`
    _constructed = True
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        return error
    finally:
        _silence(xllamacpp)


def _load_failure(options: EngineOptions, log: str) -> str:
    reasons = re.findall(r"error loading model: (.+)|invalid magic characters: (.+)", log)
    reason = "; ".join(dict.fromkeys(a or b for a, b in reasons)) or "see the log for the reason"
    files = [options.path, options.mmproj, *(path for path, _ in options.lora)]
    where = ", ".join(filter(None, files))
    return f"llama.cpp can't load {where}: {reason}"


def _captured_stderr(construct: Callable[[], Any]) -> tuple[Any, str]:
    """Return what `construct()` returns, and what C code writes to file descriptor 2 meanwhile."""
    with tempfile.TemporaryFile() as file:
        with contextlib.ExitStack() as restore:
            with contextlib.suppress(OSError):  # a daemon may have no stderr
                saved = os.dup(2)
                restore.callback(os.close, saved)
                restore.callback(os.dup2, saved, 2)
                os.dup2(file.fileno(), 2)
            result = construct()
        file.seek(0)
        return result, file.read().decode(errors="replace")


def _silence(xllamacpp: Any) -> None:
    """Switch llama.cpp's log off again: outside loading it would go to the user's stderr."""
    with contextlib.suppress(OSError, AttributeError):  # a build that hides its symbols
        library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        main, flush, threshold = (
            getattr(library, symbol)
            for symbol in (
                "_Z15common_log_mainv",
                "_Z16common_log_flushP10common_log",
                "_Z30common_log_set_verbosity_tholdi",
            )
        )
        main.restype = ctypes.c_void_p
        flush(ctypes.c_void_p(main()))
        threshold(0)


def library() -> str:
    """Return the path of xllamacpp's shared library.

    Raises:
        MissingExtraError: xllamacpp is not installed.
    """
    return str(_xllamacpp().xllamacpp.__file__)


def _xllamacpp() -> Any:
    try:
        import xllamacpp  # noqa: PLC0415  an optional dependency, 100 MB
    except ImportError as error:
        raise MissingExtraError("xllamacpp", "gguf") from error
    return xllamacpp


# Sharing.

_engines: weakref.WeakValueDictionary[EngineOptions, Engine] = weakref.WeakValueDictionary()
_engines_lock = threading.Lock()
_active: set[Channel[Any]] = set()
_constructed = False
_forked = False


def shared(options: EngineOptions) -> Engine:
    """Return the process's one engine with these options."""
    with _engines_lock:
        engine = _engines.get(options)
        if engine is None:
            engine = _engines[options] = Engine(options)
        return engine


@atexit.register
def _stop_all() -> None:
    """End what still runs: a thread that returns from C++ after the interpreter is gone aborts."""
    deadline = time.monotonic() + _EXIT_SECONDS
    for channel in tuple(_active):
        channel.close()
    while _active and time.monotonic() < deadline:
        time.sleep(0.01)


def _after_fork_in_child() -> None:
    """Let go of engines whose threads stayed behind in the parent.

    Their destructor would wait for those threads for ever, so it must never run. Nor can another
    engine be made: llama.cpp's log would join its thread, which is not there, and abort.
    """
    global _engines_lock, _forked  # noqa: PLW0603  the parent may have held the lock
    _engines_lock = threading.Lock()
    _forked = _constructed
    _active.clear()
    for engine in tuple(_engines.values()):
        server = engine.abandon()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))  # for ever, interpreter's end included


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
