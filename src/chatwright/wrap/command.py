"""`ChatCommand`: a command-line program as a chat model."""

import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from chatwright.deltas import Delta
from chatwright.errors import EngineError, MissingExtraError, ParameterError
from chatwright.langchain.capabilities import Capabilities, Medium, RolePolicy
from chatwright.langchain.model import ChatModel
from chatwright.langchain.request import Request
from chatwright.langchain.transcript import Transcript, known_transcript, transcript
from chatwright.wrap.acp.agent import Agent
from chatwright.wrap.acp.prompt import prompt_of
from chatwright.wrap.described import DescribedReader, ResponseSpec
from chatwright.wrap.masking import Mask
from chatwright.wrap.program import Program
from chatwright.wrap.reading import Reading
from chatwright.wrap.watch import Limits, Watch

__all__ = ["ChatCommand"]

_HOLES = ("last", "max_tokens", "model", "prompt", "seed", "system", "temperature", "top_p")
_HOLE = re.compile("{(" + "|".join(_HOLES) + ")}")
_FIELDS = ("max_tokens", "seed", "temperature", "top_p")
_PROMPT = re.compile("{(last|prompt|system)}")
_OF_TEXT = ("response", "transcript")
_OF_AGENTS = ("allow", "idle_timeout", "start_timeout")


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

    With `protocol="acp"` the program is an agent that speaks the Agent Client Protocol: its
    messages are the answer, its thoughts, plans and the steps of its tools are reasoning. With a
    `thread_id` in `configurable` its process and session are kept for the thread's next answers.

    Raises:
        MissingExtraError: `protocol="acp"` without the extra `acp`.
        AuthenticationError: An agent wants somebody to log in first.
        LoadError: There is no such program, or it can't be started.
        EngineError: It ended with another exit status than 0, or wrote more than
            `max_output_bytes`; with the end of its stderr.
        SourceTimeoutError: A time limit ran out.
        ParameterError: An argument has a hole for a parameter that is not set.
        ContentError: The prompt can't be an argument: it is too long, or holds a NUL. Or an agent
            does not take an image, audio or a file.

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
    protocol: Literal["acp"] | None = None
    """What it speaks: `acp`, the Agent Client Protocol. Default: text, or what `response` says."""
    allow: list[str] = []  # noqa: RUF012
    """What an agent may do when it asks: the name, the title or the kind of a tool; with a `*` at
    its end, all that begin so. Default: nothing. Agents need not ask for all that they do."""
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
    start_timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds until an agent has to be ready to be asked."""
    idle_timeout: float = Field(default=600.0, ge=0, allow_inf_nan=False)
    """Seconds after an answer for which an agent's session is kept for its thread."""
    max_output_bytes: int = Field(default=2**24, ge=1)
    """How much it may write, in bytes."""
    grace: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """Seconds between SIGTERM and SIGKILL."""

    fixed = ChatModel.fixed | {
        *("command", "cwd", "environment", "grace", "max_output_bytes", "response", "transcript"),
        *("allow", "idle_timeout", "protocol", "start_timeout", "variables"),
    }

    def __init__(self, command: Sequence[str | Sequence[str]] | None = None, **fields: Any) -> None:
        """Take the command by position, too."""
        super().__init__(**({"command": command} if command is not None else {}), **fields)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse what another protocol's programs have.

        Raises:
            ValueError: A field does not go with the protocol.
            MissingExtraError: The protocol's library is not installed.
        """
        others = _OF_TEXT if self.protocol else _OF_AGENTS
        defaults = {name: type(self).model_fields[name].default for name in others}
        if found := [name for name in others if getattr(self, name) != defaults[name]]:
            which = "no agent's" if self.protocol else "an agent's"
            raise ValueError(f"{found[0]} is {which}: protocol={self.protocol!r}")
        if self.protocol:
            if held := [each for each in self._flat() if _PROMPT.search(each)]:
                raise ValueError(f"{held[0]!r}: an agent gets the prompt by the protocol alone")
            _sessions()
        return self

    def reply(self, request: Request) -> AsyncGenerator[Delta]:
        """Run the program."""
        arguments, prompt = self._arguments(request)
        if self.protocol:
            agent, thread = self._agent(arguments), _thread(request)
            answer: AsyncGenerator[Delta] = _sessions().answered(agent, request.messages, thread)
            return answer
        return _run(self, arguments, prompt)

    def replies_async(self) -> bool:
        """Say that `reply` belongs on an event loop."""
        return True

    def reads_config(self) -> bool:
        """Say that answers depend on fields and parameters only."""
        return False

    def source_name(self) -> str:
        """Return the program's name, for errors."""
        return Path(self._flat()[0]).name

    def capabilities(self) -> Capabilities:
        """Say that a program reads text; of an agent, more is known when it runs."""
        inputs = frozenset[Medium]({"audio", "file", "image"} if self.protocol else ())
        return Capabilities(inputs=inputs, roles=RolePolicy(developer="system"))

    def explained(self, request: Request) -> dict[str, Any]:
        """Return the arguments, what goes to stdin, and the names of the environment variables."""
        arguments, prompt = self._arguments(request)
        environment = sorted(self.environment_of_it())
        if self.protocol:
            takes = {"audio": True, "embeddedContext": True, "image": True}
            asked = prompt_of(request.messages, takes, self.model_name)
            return {"command": arguments, "prompt": asked, "environment": environment}
        return {"command": arguments, "stdin": prompt.decode(), "environment": environment}

    def close(self) -> None:
        """End the agent's sessions that are kept for threads; nothing else is kept."""
        if self.protocol:
            _sessions().end_kept(self._owner())

    def _owner(self) -> str:
        return repr((self.command, self.cwd))

    def _agent(self, arguments: list[str]) -> Agent:
        return Agent(
            name=self.source_name(),
            model=self.model_name,
            owner=self._owner(),
            arguments=tuple(arguments),
            environment=self.environment_of_it(),
            cwd=self.cwd,
            allow=tuple(self.allow),
            start_timeout=self.start_timeout,
            limits=_limits(self),
            idle_timeout=self.idle_timeout,
            max_output_bytes=self.max_output_bytes,
            grace=self.grace,
            mask=_mask(self),
        )

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

    def environment_of_it(self) -> dict[str, str]:
        """Return the environment variables that the program gets."""
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


def _limits(model: ChatCommand) -> Limits:
    return Limits(model.first_token_timeout, model.token_timeout, model.timeout)


def _mask(model: ChatCommand) -> Mask:
    return Mask(each.get_secret_value() for each in model.variables.values())


def _thread(request: Request) -> str | None:
    """Return the thread that `configurable` names, if any."""
    thread = (request.config.get("configurable") or {}).get("thread_id")
    return None if thread is None else str(thread)


def _sessions() -> Any:
    """Return what asks agents.

    Raises:
        MissingExtraError: The protocol's library is not installed.
    """
    try:
        from chatwright.wrap.acp import kept  # noqa: PLC0415  an optional dependency, 0.5 s
    except ImportError as error:
        raise MissingExtraError("agent-client-protocol", "acp") from error
    return kept


async def _run(model: ChatCommand, arguments: list[str], prompt: bytes) -> AsyncGenerator[Delta]:
    """Yield what the program answers."""
    name = model.source_name()
    limits, mask = _limits(model), _mask(model)
    reading = _reading(model, mask)
    trailing = ""
    written = 0
    async with Program(
        arguments,
        environment=model.environment_of_it(),
        cwd=model.cwd,
        grace=model.grace,
        mask=mask,
    ) as program:
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


def _reading(model: ChatCommand, mask: Mask) -> Reading:
    described = model.response or ResponseSpec(framing="text")
    name = model.source_name()
    reader = DescribedReader(described)
    return Reading(reader, framing=described.framing, ends=False, name=name, mask=mask)
