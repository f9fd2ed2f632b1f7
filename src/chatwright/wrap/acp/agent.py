"""What is known of an agent before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatwright.wrap.masking import Mask
from chatwright.wrap.watch import Limits

__all__ = ["Agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """How an agent is run, and what it may do.

    Args:
        name: The program's name, for errors.
        model: The model's name, for errors about its prompt.
        owner: The model's command, by which the sessions that it keeps can be ended.
        arguments: The program and its arguments.
        environment: Its environment variables, all of them.
        cwd: The directory that it runs and works in; None for ours.
        allow: What it may do, by the name, the title or the kind of the tool.
        start_timeout: Seconds until it has to have a session ready.
        limits: The time limits of one answer.
        idle_timeout: Seconds for which a thread's session is kept after an answer.
        max_output_bytes: How much it may write for one answer, in bytes.
        grace: Seconds between SIGTERM and SIGKILL.
        mask: Hides secrets.
    """

    name: str
    model: str
    owner: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str | None
    allow: tuple[str, ...]
    start_timeout: float
    limits: Limits
    idle_timeout: float
    max_output_bytes: int
    grace: float
    mask: Mask = field(compare=False)

    @property
    def program(self) -> Any:
        """What makes it the same program, and not another one: for threads."""
        return self.arguments, tuple(sorted(self.environment.items())), self.cwd
