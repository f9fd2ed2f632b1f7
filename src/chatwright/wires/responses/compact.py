"""Compaction at the server's end of Responses: a conversation becomes the model's summary of it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from chatwright.deltas import Usage
from chatwright.errors import OutputError
from chatwright.wires.prompt import refuse
from chatwright.wires.responses.names import REASONS, USAGE
from chatwright.wires.writer import Writer as BaseWriter

__all__ = ["SUMMARIZE", "Writer", "opened", "sealed"]

SUMMARIZE = (
    "Summarize the conversation so far for yourself: you will go on with it and see nothing of it "
    "but this summary. Keep each fact, name, number, decision and wish of the user, the state of "
    "the work, and what is to be done next. Write the summary alone."
)
_INTRODUCED = "Summary of the conversation so far:\n\n"
_MARK = "chatwright1."


def sealed(summary: str) -> str:
    """Return a summary as a compaction item has it.

    It is encoded and not encrypted: it tells its owner's conversation, and nothing of the server's.
    """
    return _MARK + base64.b64encode(summary.encode()).decode()


def opened(content: Any, place: str) -> str:
    """Return what a compaction item tells a model.

    Args:
        content: Its `encrypted_content`.
        place: Where it stands, for errors.

    Raises:
        InvalidRequestError: Another server made it.
    """
    if isinstance(content, str) and content.startswith(_MARK):
        try:
            return _INTRODUCED + base64.b64decode(content[len(_MARK) :], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pass
    raise refuse(f"{place}.encrypted_content", "this server did not make it, and can't read it")


class Writer(BaseWriter):
    """Writes a summary as a compacted conversation; never in pieces."""

    def whole(self) -> Mapping[str, Any]:
        """Return the compacted conversation. Unknown counts of tokens are 0: the wire has no null.

        Raises:
            OutputError: The model gave no summary, or not all of it.
        """
        asked, totals = self.asked, self.totals
        if totals.reason in REASONS or not totals.text.strip():
            why = f"it ended by {totals.reason!r}" if totals.text.strip() else "there is no text"
            raise OutputError(f"the model gave no whole summary of the conversation: {why}")
        item = {
            "id": f"cmp_{asked.number}",
            "type": "compaction",
            "encrypted_content": sealed(totals.text),
        }
        return {
            "id": f"resp_{asked.number}",
            "object": "response.compaction",
            "created_at": int(asked.created),
            "output": [item],
            "usage": USAGE.write(totals.usage or Usage(0, 0)),
        }
