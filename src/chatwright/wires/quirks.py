"""`Quirks`: what a server does its own way."""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatwright.langchain.capabilities import Capabilities, Medium, RolePolicy

__all__ = ["Quirks"]

ToolChoice: TypeAlias = Literal["auto", "none", "required", "function"]


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


class Quirks(BaseModel):
    """What a server does its own way. What is None is as the wire has it.

    `chatwright probe` finds these out and writes them down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: bool | None = None
    """Whether it streams. False: the answer comes in one piece."""
    stream_tools: bool | None = None
    """Whether it streams where there are tools. False: such an answer comes in one piece."""
    stream_usage: bool | None = None
    """Whether it takes `stream_options`, which asks for usage in streams."""
    ends: bool | None = None
    """Whether the end of an answer is marked. False: the end of the bytes is all there is, so that
    a lost connection can't be told from the end."""
    stop: Literal["kept", "reported", "dropped"] | None = None
    """What becomes of the stop sequence that ends an answer: it is kept in the text, or reported
    beside it, or dropped. Where it is dropped it is not sent, unless `include_stop` is False."""
    max_stops: int | None = Field(default=None, ge=0)
    """How many stop sequences it takes, 0 where it refuses any; all of them are looked for here."""
    tools: bool | None = None
    """Whether it reads `tools`. False: tools are taught in the system prompt."""
    tool_choice: frozenset[ToolChoice] | None = None
    """The forms of `tool_choice` that it honours; `function` names a tool."""
    response_format: Literal["json_schema", "json_object", "none"] | None = None
    """What it makes of `response_format`."""
    tools_with_format: bool | None = None
    """Whether it takes `tools` and `response_format` in one request. False: a schema is asked for
    in the prompt where there are tools; agents ask for it by a tool."""
    system: Literal["keep", "first", "user"] | None = None
    """What becomes of system messages, as in `RolePolicy`."""
    merge: bool | None = None
    """Whether consecutive messages of one role have to become one."""
    developer: Literal["developer", "system", "user"] | None = None
    """The role by which developer messages go."""
    max_tokens: str | None = None
    """The name of the parameter that bounds the answer, such as `max_completion_tokens`."""
    parameters: dict[str, str] | None = None
    """Other names for parameters; an empty one leaves the parameter out."""
    reasoning: str | None = None
    """The field by which earlier reasoning goes back, where `keep_reasoning` is True; what the
    server gave itself goes back by the name that it came by."""
    call_ids: Annotated[str, AfterValidator(_regular)] | None = None
    """What ids of calls have to look like, as a regular expression: `[A-Za-z0-9]{9}` at Mistral.
    Others, of another provider's calls, go out in a form that matches, with their results."""
    names: frozenset[Literal["assistant", "system", "tool", "user"]] | None = None
    """The roles whose messages may have a `name`."""
    inputs: frozenset[Medium] | None = None
    """Content beside text that it reads: `image`, `audio`, `video`, `file`; none where it is empty,
    so that messages with any are refused here. None: what the wire has a form for is sent, and the
    server says what it makes of it; the model's profile then claims nothing."""
    context_tokens: int | None = Field(default=None, ge=1)
    """The length of its context, in tokens."""

    def over(self, base: "Quirks") -> "Quirks":
        """Return these quirks, and the other's where these are unset."""
        given = {name: value for name, value in self if value is not None}
        return base.model_copy(update=given) if given else base

    def capabilities(self, media: frozenset[Medium]) -> Capabilities:
        """Return what they make of the server.

        Args:
            media: What its wire has a form for: no more of it is read than that.
        """
        choices = self.tool_choice or frozenset()
        return Capabilities(
            tools=bool(self.tools),
            tool_choice={"required", "function"} <= choices,
            response_format=self.response_format == "json_schema",
            tools_with_format=self.tools_with_format is not False,
            inputs=media if self.inputs is None else self.inputs & media,
            opaque=True,
            roles=RolePolicy(
                system=self.system or "keep",
                merge=bool(self.merge),
                developer=self.developer or "developer",
            ),
        )
