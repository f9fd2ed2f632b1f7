"""OpenAI's harmony format: one answer on several channels."""

import itertools
import re
from collections.abc import Sequence

from chatwright.core.piece import Piece
from chatwright.core.reading.calltext import CUT, ArgumentsText
from chatwright.core.text import partial_start
from chatwright.deltas import Reasoning, ToolCallDelta

__all__ = ["HarmonyFilter"]

_BEGINS = ("<|start|>", "<|channel|>")
_ENDS = ("<|end|>", "<|call|>", "<|return|>", *_BEGINS)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.-]+)")
_FIRST_HEADER = re.compile(r"\s*(?:t|to|to=\S*)?\s*(?:<(?:\|.*)?)?", re.DOTALL)


class HarmonyFilter:
    """Tells reasoning, calls and text apart by the channel that they are on.

    The channel `analysis` is reasoning, what is sent to a function is a call, all else is text. An
    answer that does not begin with the format's tokens is text.

    Args:
        single: Whether one call is all that is wanted; later ones are dropped.
    """

    done = False

    def __init__(self, *, single: bool = False) -> None:
        """Begin an answer, behind `<|start|>assistant` in the prompt."""
        self._single = single
        self._numbers = itertools.count()
        self._held = ""
        self._first = self._in_header = True
        self._kind = "text"  # of the message: or reasoning, call, dropped
        self._spoken = False
        self._apart = False  # whether text has to be set apart from what was said before
        self._arguments = ArgumentsText(0)
        self._empty = True  # whether no arguments have come

    def passes(self, text: str) -> bool:
        """Tell whether this is text in the middle of a message of text."""
        plain = self._kind == "text" and not (self._held or self._in_header or self._apart)
        return plain and "<" not in text

    def feed(self, piece: Piece) -> Sequence[Piece]:
        """Take the next piece and return the pieces that can go out now."""
        if not isinstance(piece, str):
            return (*(self.flush() if self._kind == "text" else ()), piece)
        text, self._held = self._held + piece, ""
        out: list[Piece] = []
        while text:
            step = self._header if self._in_header else self._body
            in_header, rest = self._in_header, step(text, out)
            if rest == text and in_header == self._in_header:
                self._held = text
                break
            text = rest
        return out

    def flush(self) -> Sequence[Piece]:
        """Return what was held back, a call that was cut as one that can't be read."""
        held, self._held = self._held, ""
        out: list[Piece] = []
        if not self._in_header:
            self._say(held, out)
            self._end(out, CUT)
        elif self._first and not any(token in held for token in _BEGINS):
            self._in_header = False
            self._say(held, out)
        elif recipient := _RECIPIENT.search(held):
            out.append(ToolCallDelta(next(self._numbers), name=recipient[1], error=CUT))
        return out

    def _header(self, text: str, out: list[Piece]) -> str:
        """Take what stands before a message."""
        if self._first and not _FIRST_HEADER.fullmatch(text):
            self._first = self._in_header = False
            return text
        header, message, rest = text.partition("<|message|>")
        if not message:
            return text
        self._first = self._in_header = False
        if recipient := _RECIPIENT.search(header):
            self._begin_call(recipient[1], out)
        else:
            self._kind = "reasoning" if "analysis" in header else "text"
            self._apart = self._spoken and self._kind == "text"
        return rest

    def _begin_call(self, name: str, out: list[Piece]) -> None:
        number = next(self._numbers)
        self._kind = "dropped" if self._single and number else "call"
        self._arguments, self._empty = ArgumentsText(number), True
        if self._kind == "call":
            out.append(ToolCallDelta(number, name=name))

    def _body(self, text: str, out: list[Piece]) -> str:
        """Take a message, up to the token that ends it."""
        found = [(at, token) for token in _ENDS if (at := text.find(token)) >= 0]
        at, token = min(found, default=(partial_start(text, _ENDS), ""))
        self._say(text[:at], out)
        if not token:
            return text[at:]
        self._end(out, "the JSON is not whole")
        self._in_header = True
        return text[at:] if token in _BEGINS else text[at + len(token) :]

    def _say(self, text: str, out: list[Piece]) -> None:
        if not text or self._kind == "dropped":
            return
        if self._kind == "reasoning":
            out.append(Reasoning(text))
        elif self._kind == "text":
            out.append("\n\n" + text if self._apart else text)
            self._spoken, self._apart = True, False
        elif text := text.lstrip() if self._empty else text:
            self._empty = False
            out += () if self._arguments.closed else self._arguments.feed(text)[1]

    def _end(self, out: list[Piece], error: str) -> None:
        """End a message; a call whose arguments are not whole can't be read."""
        if self._kind == "call" and not self._arguments.closed:
            number = self._arguments.index
            whole = self._empty and error != CUT
            out.append(
                ToolCallDelta(number, args="{}" if whole else "", error="" if whole else error)
            )
        self._kind = "text"
