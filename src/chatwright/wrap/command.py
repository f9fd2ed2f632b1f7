"""`ChatCommand`: a command-line program as a chat model."""

import asyncio
import atexit
import contextlib
import errno
import os
import re
import signal
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from chatwright.deltas import Delta
from chatwright.errors import ContentError, EngineError, LoadError, ParameterError
from chatwright.langchain.capabilities import Capabilities, RolePolicy
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request
from chatwright.langchain.transcript import Transcript, known_transcript, transcript
from chatwright.wrap.described import DescribedReader, ResponseSpec
from chatwright.wrap.failure import Mask
from chatwright.wrap.reading import Reading
from chatwright.wrap.watch import Limits, Watch

__all__ = ["ChatCommand"]

_HOLES = ("last", "max_tokens", "model", "prompt", "seed", "system", "temperature", "top_p")
_HOLE = re.compile("{(" + "|".join(_HOLES) + ")}")
_FIELDS = ("max_tokens", "seed", "temperature", "top_p")
STDERR_BYTES = 2048
"""How much of stderr an error shows: its end."""
_READ_BYTES = 2**16
LINGER_SECONDS = 0.25
"""How long what a program has written may take to arrive once it has ended."""
_POLL_SECONDS = 0.02


def _split(command: Any) -> Any:
    if isinstance(command, list | tuple) and not all(command):
        raise ValueError("an argument, or a list of them, is empty")
    if isinstance(command, str):
        raise ValueError(  # noqa: TRY004  pydantic's own way of saying it
            'give the command as a list, ["prog", "--flag"]; no shell is ever asked to split one'
        )
    return command


class ChatCommand(ChatModel):
    """A command-line program as a chat model: it reads a prompt and writes an answer.

    The program is started for each answer, without a shell, in a process group of its own, and its
    output is handed on as it comes. When nobody waits any longer, the whole group is told to end
    (SIGTERM), and killed after `grace` seconds. It needs POSIX.

    Raises:
        LoadError: There is no such program, or it can't be started.
        EngineError: It ended with another exit status than 0, or wrote more than
            `max_output_bytes`; with the end of its stderr.
        SourceTimeoutError: A time limit ran out.
        ParameterError: An argument has a hole for a parameter that is not set.
        ContentError: The prompt can't be an argument: it is too long, or holds a NUL.

    Example:
        ```python
        model = ChatCommand(["llm", "--model", "{model}"], model="tiny")
        model.invoke("Say hello.")
        ```
    """

    command: Annotated[list[str | list[str]], BeforeValidator(_split), Field(min_length=1)]
    """The program and its arguments. `{prompt}`, `{system}`, `{last}` (the texts of the system
    messages and of the last message), `{model}`, `{temperature}`, `{max_tokens}`, `{top_p}` and
    `{seed}` stand for their values; a list of arguments inside the list is left out where a value
    is not set: `["--temp", "{temperature}"]`. Where no argument holds the prompt, it goes to stdin.
    """
    transcript: Annotated[str | Transcript, AfterValidator(known_transcript)] = "auto"
    """How the conversation is written: `plain`, `chatml`, `llama3`, `mistral`, `bare`, or a
    `Transcript`. `auto`: a lone message bare, anything else `plain`."""
    response: ResponseSpec | None = None
    """How lines of JSON are read: `{"framing": "ndjson", "text": "token"}`. Default: the output is
    the answer, less the white space at its end."""
    environment: list[str] = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR"]  # noqa: RUF012
    """The environment variables that the program gets of ours."""
    variables: dict[str, SecretStr] = Field(default_factory=dict, exclude=True)
    """Further ones, with their values."""
    cwd: str | None = None
    """The directory that it runs in. Default: ours."""
    timeout: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    """Seconds that one answer may take in all."""
    first_token_timeout: float = Field(default=900.0, gt=0, allow_inf_nan=False)
    """Seconds until the program writes something."""
    token_timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Seconds between two pieces of its output."""
    max_output_bytes: int = Field(default=2**24, ge=1)
    """How much it may write, in bytes."""
    grace: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """Seconds between SIGTERM and SIGKILL."""

    fixed = ChatModel.fixed | {
        *("command", "cwd", "environment", "grace", "max_output_bytes", "response", "transcript"),
        "variables",
    }

    def __init__(self, command: Any = None, **fields: Any) -> None:
        """Take the command by position, too."""
        super().__init__(**({"command": command} if command is not None else {}), **fields)

    def reply(self, request: Request) -> AsyncGenerator[Delta]:
        """Run the program."""
        arguments, prompt = self._arguments(request)
        return _run(self, arguments, prompt)

    def replies_async(self) -> bool:
        """Say that `reply` belongs on an event loop."""
        return True

    def source_name(self) -> str:
        """Return the program's name, for errors."""
        return Path(self._flat()[0]).name

    def capabilities(self) -> Capabilities:
        """Say that a program reads text."""
        return Capabilities(roles=RolePolicy(developer="system"))

    def explained(self, request: Request) -> dict[str, Any]:
        """Return the arguments, what goes to stdin, and the names of the environment variables."""
        arguments, prompt = self._arguments(request)
        return {
            "command": arguments,
            "stdin": prompt.decode(),
            "environment": sorted(self._environment()),
        }

    def _default_model_name(self) -> str:
        return self.source_name()

    def _flat(self) -> list[str]:
        return [
            each for part in self.command for each in ([part] if isinstance(part, str) else part)
        ]

    def _arguments(self, request: Request) -> tuple[list[str], bytes]:
        """Return the arguments, and what goes to stdin."""
        values = {name: getattr(self, name) for name in _FIELDS}
        system = [each.text for each in request.messages if each.type == "system"]
        values |= {
            "last": request.messages[-1].text if request.messages else "",
            "model": self.model_name,
            "prompt": transcript(self.transcript, request.messages).write(request.messages),
            "system": "\n\n".join(system),
        }
        arguments = [*_filled(self.command, values)]
        held = any("{prompt}" in each or "{last}" in each for each in self._flat())
        return arguments, b"" if held else values["prompt"].encode("utf-8", "replace")

    def _environment(self) -> dict[str, str]:
        ours = {name: os.environ[name] for name in self.environment if name in os.environ}
        return {**ours, **{key: each.get_secret_value() for key, each in self.variables.items()}}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize values as the dicts that make them."""
        kept = super().lc_attributes
        if isinstance(self.transcript, Transcript):
            kept["transcript"] = self.transcript.model_dump()
        if self.response is not None:
            kept["response"] = self.response.model_dump()
        return kept


def _group(part: str | list[str]) -> list[str]:
    return [part] if isinstance(part, str) else part


def _filled(command: Sequence[str | list[str]], values: Mapping[str, Any]) -> Iterator[str]:
    for part in command:
        group = _group(part)
        unset = [name for each in group for name in _HOLE.findall(each) if values[name] is None]
        if unset and isinstance(part, str):
            raise ParameterError(
                f"{part!r} needs {unset[0]}, which is not set; set it, or put the argument into a "
                f"list of its own, [{part!r}], which is left out then"
            )
        if not unset:
            yield from (_HOLE.sub(lambda hole: str(values[hole[1]]), each) for each in group)


async def _run(model: ChatCommand, arguments: list[str], prompt: bytes) -> AsyncGenerator[Delta]:
    """Yield what the program answers."""
    name = model.source_name()
    limits = Limits(model.first_token_timeout, model.token_timeout, model.timeout)
    reading = _reading(model)
    trailing = ""
    written = 0
    async with _Program(model, arguments) as program:
        watch = program.watch = Watch(limits, name)
        program.say(prompt)
        while not reading.done:
            with watch:
                data = await program.read()
            written += len(data)
            if written > model.max_output_bytes:
                raise EngineError(f"{name} wrote more than {model.max_output_bytes} bytes")
            for delta in reading.feed(data) if data else reading.finish():
                if model.response is None and isinstance(delta, str):
                    # White space is held back: at the end of the output it is not the answer's.
                    text = trailing + delta
                    trailing = text[len(text.rstrip()) :]
                    yield text.removesuffix(trailing) if trailing else text
                else:
                    yield delta
            watch.restart()
        for delta in reading.end():
            yield delta
        with watch:
            await program.end()


def _reading(model: ChatCommand) -> Reading:
    described = model.response or ResponseSpec(framing="text")
    mask = Mask(each.get_secret_value() for each in model.variables.values())
    name = model.source_name()
    reader = DescribedReader(described)
    return Reading(reader, framing=described.framing, ends=False, name=name, mask=mask)


class _Program:
    """A program on its way, in a process group of its own."""

    def __init__(self, model: ChatCommand, arguments: list[str]) -> None:
        self._model = model
        self._arguments = arguments
        self._name = model.source_name()
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr = b""
        self._process: asyncio.subprocess.Process
        self.watch: Watch | None = None

    async def __aenter__(self) -> Self:
        """Start it.

        Raises:
            LoadError, ContentError: It can't be started, with these arguments.
        """
        model = self._model
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd=model.cwd,
                env=model._environment(),  # noqa: SLF001  its own
            )
        )
        try:
            # Cancelled in the middle of it, asyncio would wait for the whole program.
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_what_started)
            raise
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise ContentError(
                    f"{self._name}: the prompt is too long for an argument; without {{prompt}} in "
                    "the command it goes to stdin"
                ) from error
            raise LoadError(f"{self._arguments[0]!r} can't be run: {error.strerror}") from error
        except ValueError as error:
            raise ContentError(
                f"{self._name}: no argument, and no environment variable, can hold this (a NUL, or "
                f"half a character): {error}"
            ) from error
        _groups.add(self._process.pid)
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._mind())]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, if it has not ended: the group is told at once, and made to when it won't."""
        for task in self._tasks:
            task.cancel()
        if self.watch is not None:
            self.watch.stop()
        self._close_pipes()
        # The loop may end before the grace does, so that a thread sees to the rest.
        if _signal(self._process.pid, signal.SIGTERM):
            end = threading.Thread(target=_end, args=(self._process.pid, self._model.grace))
            end.daemon = True
            end.start()
            for _attempt in range(5):  # most obey at once, and asyncio sees it while its loop runs
                if self._process.returncode is None:
                    await asyncio.sleep(_POLL_SECONDS / 2)
        else:
            _groups.discard(self._process.pid)

    def say(self, prompt: bytes) -> None:
        """Have the prompt written to its stdin; a program need not read it."""
        self._tasks.append(asyncio.ensure_future(self._say(prompt)))

    async def _say(self, prompt: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  it is a pipe
        with contextlib.suppress(ConnectionError):
            stdin.write(prompt)
            await stdin.drain()
        stdin.close()

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101  it is a pipe
        while data := await stderr.read(_READ_BYTES):
            self._stderr = (self._stderr + data)[
                -2 * STDERR_BYTES :
            ]  # it is masked before it is cut

    async def _mind(self) -> None:
        """Close the pipes once the program has ended: a child of its may hold them for ever."""
        await self._exited(_POLL_SECONDS)
        await asyncio.sleep(LINGER_SECONDS)
        self._close_pipes()

    async def _exited(self, poll: float) -> int:
        """Return the exit status, once there is one; asyncio's `wait` would wait for the pipes."""
        while (status := self._process.returncode) is None:  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(poll)
        return status

    def _close_pipes(self) -> None:
        transport = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001  no other way
        for stream in range(3):
            if (pipe := transport.get_pipe_transport(stream)) is not None:
                pipe.close()

    async def read(self) -> bytes:
        """Return what it wrote next; nothing at the end."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  it is a pipe
        return await stdout.read(_READ_BYTES)

    async def end(self) -> None:
        """Wait for its end.

        Raises:
            EngineError: Its exit status is not 0.
        """
        status = await self._exited(_POLL_SECONDS / 10)
        if status == 0:
            return
        await asyncio.wait(self._tasks[:1], timeout=LINGER_SECONDS)
        secrets = Mask(each.get_secret_value() for each in self._model.variables.values())
        said = secrets(self._stderr.decode("utf-8", "replace")).strip()[-STDERR_BYTES:]
        ended = (
            f"ended with exit status {status}"
            if status > 0
            else f"was ended by {signal.Signals(-status).name}"
        )
        error = EngineError(f"{self._name} {ended}: {said or 'it wrote nothing to stderr'}")
        error.body = said
        raise error


_groups: set[int] = set()


def _kill_what_started(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _signal(starting.result().pid, signal.SIGKILL)


def _end(group: int, grace: float) -> None:
    """Kill what is left of a group once its grace is over."""
    deadline = time.monotonic() + grace
    while _signal(group, 0) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _signal(group, signal.SIGKILL)
    _groups.discard(group)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@atexit.register
def _kill_what_is_left() -> None:
    for group in [*_groups]:
        _signal(group, signal.SIGKILL)
