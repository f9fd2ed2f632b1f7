"""Which call a fragment is of, and what of it is new, whatever servers repeat. No I/O."""

import json
from collections.abc import Hashable, Iterator
from typing import Any

from chatwright.core.jsontext import read_object
from chatwright.deltas import ToolCallDelta

__all__ = ["Call", "Calls", "given"]

_PLACEHOLDERS = frozenset({"", "none", "null"})


def given(value: Any) -> str | None:
    """Return an id, a name or a reason as text; None for what only stands in its place."""
    text = "" if value is None else str(value)
    return None if text.strip().lower() in _PLACEHOLDERS else text


class Call:
    """One call on its way. Its methods yield what is new of it: nothing is told twice.

    Args:
        number: Which call of the answer it is.
        place: Where the server says that it stands.
    """

    def __init__(self, number: int, place: Hashable) -> None:
        """Begin with nothing."""
        self.number = number
        self.place = place
        self.id: str | None = None
        self.name: str | None = None
        self._said: list[str] = []
        self._untold: tuple[str | None, str] = None, ""  # its name and arguments, until its id
        self._held = ""  # arguments that wait: others may take their place, or more be needed

    def begin(self, id: Any, name: Any, args: Any = None) -> Iterator[ToolCallDelta]:  # noqa: A002
        """Yield its id and name; the arguments count unless others follow."""
        if not self._said:
            self._held = _decoded(_as_text(args).strip())
        yield from self._tell(id, name, "")

    def fragment(self, args: Any, id: Any = None, name: Any = None) -> Iterator[ToolCallDelta]:  # noqa: A002
        """Yield what is new of its next arguments, which may be all of them once more."""
        text = _as_text(args)
        if not self._said:
            text = self._first(text)
        elif text.lstrip().startswith(("{", '"')) and self.is_whole and self.repeats(text):
            text = ""
        yield from self._tell(id, name, text)

    def whole(self, args: Any, id: Any = None, name: Any = None) -> Iterator[ToolCallDelta]:  # noqa: A002
        """Yield what is new of it, where all of its arguments are given."""
        text, said = _as_text(args), "".join(self._said)
        if said:
            text = text[len(said) :] if text.startswith(said) else ""
        elif text:
            self._held = ""
            text = self._first(text)
        yield from self._tell(id, name, text)

    def end(self) -> Iterator[ToolCallDelta]:
        """Yield what was held back."""
        held, self._held = self._held, ""
        yield from self._tell(None, None, "" if self._said else _decoded(held), last=True)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are all there."""
        last = self._said[-1] if self._said else ""
        return last.rstrip().endswith("}") and _read("".join(self._said)) is not None

    def repeats(self, args: Any) -> bool:
        """Tell whether arguments are those that it has, written this way or that."""
        return bool(_read(args) == _read("".join(self._said)))

    def _first(self, args: str) -> str:
        """Return the first arguments that are fit to be told."""
        text = args.strip()
        held, self._held = self._held, ""
        if held.startswith('"'):
            args = text = held + args
        if text in {"{}", "null", ""}:  # a blank form, which others may follow
            self._held = held if text == "" else "{}"
            return ""
        if text.startswith('"') and (args := _decoded(text)) is text:
            self._held = text
            return ""
        return args

    def _tell(
        self,
        id: Any,  # noqa: A002
        name: Any,
        args: str,
        *,
        last: bool = False,
    ) -> Iterator[ToolCallDelta]:
        """Yield what can be told: nothing before the id, which some servers send last.

        A call that has begun by another one can't take it back (QwenLM/Qwen-Agent#943).
        """
        new_id = given(id) if self.id is None else None
        new_name = given(name) if self.name is None else None
        self.id, self.name = self.id or new_id, self.name or new_name
        if args:
            self._said.append(args)
        untold = self._untold[0] or new_name, self._untold[1] + args
        if self.id is None and not last:
            self._untold = untold
        elif new_id or any(untold):
            self._untold = None, ""
            yield ToolCallDelta(self.number, new_id, *untold)


class Calls:
    """The calls of one answer, numbered in the order in which they begin."""

    def __init__(self) -> None:
        """Start with none."""
        self._calls: list[Call] = []
        self._at: dict[Hashable, Call] = {}
        self._by_id: dict[str, Call] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._calls)

    def new(self, *places: Hashable) -> Call:
        """Return a call that begins at places."""
        call = Call(len(self._calls), places[0] if places else None)
        self._calls.append(call)
        self._at |= dict.fromkeys((*places, None), call)
        return call

    def at(self, *places: Hashable) -> Call | None:
        """Return the call at the first of the places where there is one."""
        return next((self._at[each] for each in places if each in self._at), None)

    def fragment(self, place: Hashable, id: Any, name: Any, args: Any) -> Iterator[ToolCallDelta]:  # noqa: A002
        """Yield what is new of a fragment, where neither places nor ids can be relied on.

        Servers give all parallel calls one place and tell them apart by their ids, give no places,
        repeat names and ids with each fragment, or put `"null"` and `""` where there are none.

        Args:
            place: Where the server says that the call stands; None for nowhere.
            id: The call's id.
            name: The tool's name.
            args: The next arguments: text, or all of them as an object.
        """
        id, name, args = given(id), given(name), _as_text(args)  # noqa: A001
        call = self._found(place, id, name, args) or self.new(place)
        self._at[place] = self._at[None] = call
        if id:
            self._by_id[id] = call
        yield from call.fragment(args, id, name)

    def _found(self, place: Hashable, id: str | None, name: str | None, args: str) -> Call | None:  # noqa: A002
        call = self._by_id.get(id) if id else None
        if call is None or (name and place is not None and call.place != place):
            call = self._at.get(place)
            if call is None:
                return None
        other = bool(id and call.id and id != call.id)
        if name and call.name and (other or name != call.name):
            return None
        if args and (name or other) and call.is_whole:
            sure = place is not None or (id and not other)
            return call if sure and call.repeats(args) else None
        return call

    def flush(self) -> Iterator[ToolCallDelta]:
        """Yield what was held back: nothing more comes."""
        for call in self._calls:
            yield from call.end()


def _as_text(args: Any) -> str:
    """Return arguments as text; an empty list is what PHP makes of an empty object."""
    if args is None or args == "":
        return ""
    if isinstance(args, str):
        return args
    return "{}" if args == [] else json.dumps(args, ensure_ascii=False)


def _decoded(args: str) -> str:
    """Return arguments that were encoded twice as they were before that; others as they are."""
    if args.startswith('"'):
        try:
            inner = json.loads(args, strict=False)
        except ValueError:
            return args
        if isinstance(inner, str) and read_object(inner)[0] is not None:
            return inner
    return args


def _read(args: Any) -> Any:
    return read_object(_decoded(_as_text(args).strip()))[0]
