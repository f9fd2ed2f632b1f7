"""Calls that nothing announces, as Llama writes them: JSON, or a list of Python calls."""

import re

from chatwright.core.piece import Piece
from chatwright.core.reading.calltext import CallText
from chatwright.core.reading.reader import Context, Reader

__all__ = ["BareJson", "bare_begins"]

_JSON = re.compile(r"(?:```\w*\s*)?(?:\[\s*)?\{")
_PYTHON = re.compile(r"\[\s*([A-Za-z_][\w.]*)\s*\(")
_MAY_BE_JSON = re.compile(r"`{1,2}|```\w*\s*(?:\[\s*)?|\[\s*")
_MAY_BE_PYTHON = re.compile(r"\[\s*(?:[A-Za-z_][\w.]*)?\s*")
_GAP = re.compile(r"(?:[\s,;\]]|```)*")
_OBJECT = re.compile(r'\{\s*"')


def bare_begins(text: str, *, python: bool) -> tuple[int, str | None]:
    """Return where a call may begin, and its beginning.

    Returns:
        The position, the length of `text` if there is none; and what stands before the call
        itself, a fence or a bracket: None, while that is open.
    """
    for begins in re.finditer(r"\[" if python else r"```|`+\Z|\[|\{", text):
        at = begins.start()
        if found := (_PYTHON if python else _JSON).match(text, at):
            return at, found[0] if python else found[0][:-1]
        if (_MAY_BE_PYTHON if python else _MAY_BE_JSON).fullmatch(text, at):
            return at, None
    return len(text), ""


class BareJson(Reader):
    """Reads JSON that may be a call, and others behind it; other JSON is text, to its end.

    Args:
        context: What all readers share.
        before: What stands before the JSON: a fence, a bracket. It is dropped with a call.
        at_start: Whether the answer begins with it.
    """

    def __init__(self, context: Context, before: str, *, at_start: bool) -> None:
        """Stand before the fence, or the bracket, or the brace."""
        super().__init__(context, self._begin)
        self._before = before
        self._at_start = at_start
        self._raw: list[str] = []
        self._held: list[Piece] = []  # of a call that may be none
        self._call: CallText | None = None

    def cut(self, text: str, out: list[Piece]) -> None:
        """Put out what is left: a call that was cut, or what has not become one."""
        if self._step == self._reading and self._call:
            out += [*self._call.feed(text)[1], *self._call.cut()]
        elif self._step == self._trying:
            out.append("".join([self._before, *self._raw, text]))
        elif rest := text[_GAP.match(text).end() :]:  # type: ignore[union-attr]  # matches anything
            out.append(rest)

    def _begin(self, text: str, out: list[Piece]) -> str:
        self._call = CallText(next(self._context.numbers), self._context.tools)
        self._raw, self._held, self._step = [], [], self._trying
        return text[len(self._before) :]

    def _trying(self, text: str, out: list[Piece]) -> str:
        call = self._call
        assert call is not None  # noqa: S101  the step says so
        for at, character in enumerate(text):  # so that no split changes what is told
            self._held += call.feed(character)[1]
            self._raw.append(character)
            verdict = call.verdict(at_start=self._at_start)
            if verdict is not None:
                (self._is_call if verdict else self._is_text)(call, out)
                return text[at + 1 :]
        return ""

    def _is_call(self, call: CallText, out: list[Piece]) -> None:
        out += self._held
        self._step = self._gap if call.closed else self._reading

    def _is_text(self, call: CallText, out: list[Piece]) -> None:
        raw = "".join(self._raw)
        out.append(self._before + raw)
        self._step = self._other_json
        self.over = call.closed or not _OBJECT.match(raw)

    def _other_json(self, text: str, out: list[Piece]) -> str:
        call = self._call
        assert call is not None  # noqa: S101  the step says so
        for at, _ in call.scanner.structure(text):
            if call.scanner.depth == 0:
                self.over = True
                out.append(text[: at + 1])
                return text[at + 1 :]
        out.append(text)
        return ""

    def _reading(self, text: str, out: list[Piece]) -> str:
        call = self._call
        assert call is not None  # noqa: S101  the step says so
        taken, pieces = call.feed(text)
        out += pieces
        if call.closed:
            out += call.end()
            self._step = self._gap
        return text[taken:]

    def _gap(self, text: str, out: list[Piece]) -> str:
        """Stand behind a call, where others may follow."""
        if self._context.single:
            return ""
        rest = text[_GAP.match(text).end() :]  # type: ignore[union-attr]  # it matches anything
        if rest.startswith("{"):
            self._before, self._at_start, self._step = "", False, self._begin
        elif rest and not re.fullmatch("`+", rest):
            self.over = True
        return rest
