"""A conversation as one text, for an LLM that reads nothing but that."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict

__all__ = ["TRANSCRIPTS", "Transcript", "known_transcript", "transcript"]


class Transcript(BaseModel):
    """How a conversation is written as one text; `{text}` stands for a message's.

    Args:
        system: A system message.
        user: A user message.
        assistant: An earlier answer.
        tool: A tool's result. Default: as a user message.
        begin: What stands before everything.
        end: What stands behind everything, for the LLM to go on from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = "{text}\n\n"
    user: str = "{text}"
    assistant: str = "{text}"
    tool: str | None = None
    begin: str = ""
    end: str = ""

    def write(self, messages: Sequence[BaseMessage]) -> str:
        """Return the conversation as one text."""
        forms = {"system": self.system, "human": self.user, "ai": self.assistant}
        forms["tool"] = self.tool or self.user
        written = [
            forms.get(each.type, self.user).replace("{text}", each.text) for each in messages
        ]
        return "".join([self.begin, *written, self.end])


TRANSCRIPTS: Mapping[str, Transcript] = {
    "plain": Transcript(
        user="User: {text}\n\n", assistant="Assistant: {text}\n\n", end="Assistant:"
    ),
    "chatml": Transcript(
        system="<|im_start|>system\n{text}<|im_end|>\n",
        user="<|im_start|>user\n{text}<|im_end|>\n",
        assistant="<|im_start|>assistant\n{text}<|im_end|>\n",
        end="<|im_start|>assistant\n",
    ),
    "llama3": Transcript(
        begin="<|begin_of_text|>",
        system="<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>",
        assistant="<|start_header_id|>assistant<|end_header_id|>\n\n{text}<|eot_id|>",
        end="<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "mistral": Transcript(
        begin="<s>",
        system="[SYSTEM_PROMPT]{text}[/SYSTEM_PROMPT]",
        user="[INST]{text}[/INST]",
        assistant="{text}</s>",
    ),
    "bare": Transcript(user="{text}\n", assistant="{text}\n"),
}
"""The transcripts that have a name. `bare` writes the texts and nothing else."""


def known_transcript(named: str | Transcript) -> str | Transcript:
    """Return the transcript as it was given.

    Raises:
        ValueError: There is none of this name.
    """
    known = ["auto", *TRANSCRIPTS]
    if isinstance(named, str) and named not in known:
        raise ValueError(f"there is no transcript {named!r}; there are {', '.join(known)}")
    return named


def transcript(named: str | Transcript, messages: Sequence[BaseMessage]) -> Transcript:
    """Return the transcript of this name; `auto`: a lone message bare, anything else `plain`."""
    if isinstance(named, Transcript):
        return named
    if named == "auto":
        named = "bare" if len(messages) == 1 else "plain"
    return TRANSCRIPTS[named]
