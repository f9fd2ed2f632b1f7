"""What a source can do, declared once; what it can't, the model does for it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["AS_THEY_ARE", "Capabilities", "Medium", "RolePolicy"]

Medium: TypeAlias = Literal["image", "audio", "video", "file"]


class RolePolicy(NamedTuple):
    """What the roles of a conversation have to look like, for chat templates that refuse others.

    Args:
        system: `keep` leaves system messages where they stand; `first` makes one of them all, at
            the beginning; `user` puts their text before the first user message's.
        merge: Whether consecutive messages of one role become one.
        developer: The role by which developer messages go: `developer`, `system` or `user`.
    """

    system: Literal["keep", "first", "user"] = "keep"
    merge: bool = False
    developer: Literal["developer", "system", "user"] = "developer"


AS_THEY_ARE = RolePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a source can do itself.

    Args:
        tools: It reads `tools` and yields `ToolCallDelta`s. Otherwise tools are taught in the
            system prompt and calls are parsed out of the text.
        tool_choice: It reads `tool_choice`. Otherwise the choice is made by which tools it is
            given, and by asking again.
        response_format: It reads `response_format`, and answers with JSON that conforms to it.
            Otherwise JSON is asked for in the system prompt.
        tools_with_format: It reads `tools` and `response_format` in one request. Otherwise JSON is
            asked for in the system prompt where there are tools, and agents ask for it by a tool.
        schema_in_prompt: It wants the schema in the prompt as well: a grammar keeps the LLM to a
            schema, but does not show it what is meant.
        inputs: Content beside text that it reads: `image`, `audio`, `video`, `file`. Others are
            refused.
        roles: What it makes of roles.
        opaque: Whether it is given what is meant for a server's eyes: marks such as
            `cache_control`, and the reasoning that the server itself has given.
    """

    tools: bool = False
    tool_choice: bool = False
    response_format: bool = False
    tools_with_format: bool = True
    schema_in_prompt: bool = False
    inputs: frozenset[Medium] = frozenset()
    roles: RolePolicy = AS_THEY_ARE
    opaque: bool = False
