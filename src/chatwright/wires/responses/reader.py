"""The client's end of OpenAI's Responses: answers in."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Block, Delta, Reasoning, Refusal
from chatwright.wires.blocks import Citations, called, other, result
from chatwright.wires.calls import Calls, given
from chatwright.wires.keep import SERVED_BY, Place, kept, server
from chatwright.wires.reader import Reported, TotalsReader
from chatwright.wires.responses.names import PHASE, THOUGHTS, USAGE
from chatwright.wires.wire import Ask

__all__ = ["Reader"]

_EVENTS: Mapping[str, str] = {
    "response.output_text": "output_text",
    "response.reasoning_summary_text": "summary_text",
    "response.reasoning_text": "reasoning_text",
    "response.refusal": "refusal",
}
"""The kinds of parts, by what the events of their text begin with."""
_MADE: Mapping[str, Callable[[str], Delta]] = {
    "output_text": str,
    "summary_text": Reasoning,
    "reasoning_text": Reasoning,
    "refusal": Refusal,
}
_ARGUMENTS = frozenset(
    {"response.function_call_arguments.delta", "response.function_call_arguments.done"}
)
_ENDS = frozenset(
    {"response.cancelled", "response.completed", "response.failed", "response.incomplete"}
)
_PARTS = frozenset({"response.content_part.done", "response.reasoning_summary_part.done"})
_UNFINISHED = frozenset({"in_progress", "queued"})


class Reader(TotalsReader):
    """Reads events, each of which names its type, and whole answers.

    What an answer holds is given several times over: in pieces, whole at the end of each part and
    item, and once more at the end of all. Servers leave some of these out.
    """

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        super().__init__()
        self._metadata[SERVED_BY] = server(ask.base_url)
        self._citations = Citations()
        self._seen: set[Any] = set()  # items beside text, by their ids and their numbers
        self._begins: dict[Hashable, int] = {}  # of parts of text
        self._apart = 0  # the characters before the block of text
        self._calls = Calls()
        self._encrypted: dict[Any, tuple[Mapping[str, Any], Place]] = {}
        self._said: dict[str, dict[Hashable, list[str]]] = {kind: {} for kind in _MADE}

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        event = payload.get("type")
        if event == "response.output_text.delta":  # nearly always
            return self._say("output_text", _place(payload), payload.get("delta"))
        if event is None:
            whole = payload.get("object") == "response" or "output" in payload
            return [*self._whole(payload, "")] if whole else ()
        stem, _, step = event.rpartition(".")
        if part := _EVENTS.get(stem):
            if step == "delta":
                return self._say(part, _place(payload), payload.get("delta"))
            return self._rest(part, _place(payload), payload.get("text") or payload.get("refusal"))
        return [*self._event(event, payload)]

    def knows(self, payload: Any) -> bool:
        """Tell whether a payload is part of an answer: one of its events, or the whole of it."""
        told = str(payload.get("type")).startswith("response.")
        return told or payload.get("object") == "response" or "output" in payload

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""
        self._metadata |= kept(THOUGHTS, [*self._encrypted.values()])
        return [*self._calls.flush(), self._finish()]

    def _event(self, event: str, payload: Mapping[str, Any]) -> Iterator[Delta]:
        match event:
            case "error":
                raise Reported(payload)
            case "response.created":
                yield from self._introduce(payload.get("response") or {}, "id")
            case _ if event in _ENDS:
                yield from self._whole(payload["response"], event.removeprefix("response."))
            case "response.output_item.added" | "response.output_item.done":
                yield from self._item(payload, done=event.endswith("done"))
            case _ if event in _ARGUMENTS:
                yield from self._arguments(payload)
            case _ if event in _PARTS:
                for part, _, text in _texts({"content": [payload.get("part")]}):
                    yield from self._rest(part, _place(payload), text)

    def _item(self, payload: Mapping[str, Any], *, done: bool) -> Iterator[Delta]:
        item = payload.get("item") or {}
        said = len(self._all("output_text"))
        self._keep(item, said, len(self._calls), done=done)
        if item.get("type") != "message":
            self._apart = said
        if item.get("type") == "function_call":
            yield from self._call(item, payload.get("output_index"), done=done)
        elif done:
            for part, number, text in _texts(item):
                place = _place({**payload, "item_id": item.get("id")}, number)
                yield from self._rest(part, place, text)
                if part == "output_text":
                    yield from self._cite(item, number, self._begins.get(place, self._apart))
            yield from self._own(item, payload.get("output_index"))

    def _keep(self, item: Mapping[str, Any], said: int, calls: int, *, done: bool) -> None:
        """Keep what the server wants back: encrypted reasoning, its own tools' calls, phases."""
        kind = item.get("type")
        if kind == "message":
            self._metadata[PHASE] = item.get(PHASE) or self._metadata.get(PHASE)
            bare = {"type": kind, PHASE: item[PHASE]} if item.get(PHASE) else None
        elif kind == "reasoning":
            bare = {**item} if item.get("encrypted_content") else None
        else:  # a picture is too much to be sent each time
            bare = {**item} if done and kind not in {*_FUNCTIONS, "image_generation_call"} else None
        if bare is not None:
            bare = {n: v for n, v in bare.items() if n != "status" or kind != "reasoning"}
            self._encrypted.setdefault(item.get("id"), (bare, (said, calls)))

    def _own(self, item: Mapping[str, Any], index: Any) -> Iterator[Delta]:
        """Yield what one of the server's own tools has done, once."""
        kind = str(item.get("type"))
        names = {("id", item.get("id")), ("index", index)} - {("id", None), ("index", None)}
        if kind in _TEXTUAL or self._seen & names:
            return
        self._seen |= names
        yield from _beside(item, kind)

    def _parts(
        self, item: Mapping[str, Any], told: dict[str, str], before: Mapping[str, str]
    ) -> Iterator[Delta]:
        """Yield the texts of an item of a whole answer, of those kinds that have not come yet."""
        for part, number, text in _texts(item):
            begin = len(told[part])
            told[part] += text
            if not before[part]:
                yield from self._say(part, None, text)
            if part == "output_text":
                yield from self._cite(item, number, begin)

    def _cite(self, item: Mapping[str, Any], number: int, begin: int) -> Iterator[Delta]:
        parts = item.get("content")
        part = parts[number] if isinstance(parts, list) and number < len(parts) else None
        if isinstance(part, Mapping):
            self._citations.hold(part.get("annotations"), begin=begin - self._apart)
            yield from self._citations.release()

    # Texts.

    def _say(self, part: str, place: Hashable, text: Any) -> Sequence[Delta]:
        if not text:
            return ()
        if part == "output_text":
            if place not in self._begins:
                self._begins[place] = len(self._all(part))
        else:
            self._apart = len(self._all("output_text"))
        self._said[part].setdefault(place, []).append(text)
        return (_MADE[part](text),)

    def _rest(self, part: str, place: tuple[Any, int], text: Any) -> Sequence[Delta]:
        """Return what is new of the whole text of a part."""
        said = self._said[part].get(place)
        if not text:
            return ()
        if said is None and type(place[0]) is not int and self._all(part).endswith(text):
            return ()  # some servers make up another id with each event
        return self._say(part, place, _new(text, "".join(said or ())))

    def _all(self, part: str) -> str:
        return "".join(piece for pieces in self._said[part].values() for piece in pieces)

    # Calls.

    def _call(self, item: Mapping[str, Any], index: Any, *, done: bool) -> Iterator[Delta]:
        id, name, args = item.get("call_id"), item.get("name"), item.get("arguments")  # noqa: A001
        places = _places(id=item.get("id"), call_id=id, index=index)
        call = self._calls.at(*(each for each in places if done or each[0] != "index"))
        if call and call.id and id and call.id != id and call.is_whole and not call.repeats(args):
            call = None
        call = call or self._calls.new(*places)
        yield from call.whole(args, id, name) if done else call.begin(id, name, args)

    def _arguments(self, payload: Mapping[str, Any]) -> Iterator[Delta]:
        places = _places(id=payload.get("item_id"), index=payload.get("output_index"))
        known = self._calls.at(*places) if places else self._calls.at(None)
        call = known or self._calls.new(*places)
        if "delta" in payload:
            yield from call.fragment(payload["delta"])
        else:
            yield from call.whole(payload.get("arguments"), None, payload.get("name"))

    # The end.

    def _whole(self, response: Mapping[str, Any], event: str) -> Iterator[Delta]:
        """Yield what an answer as a whole holds that is new, and how it ended."""
        status = given(response.get("status")) or event or "completed"
        if event == "failed" or status in {"cancelled", "failed"}:
            raise Reported(response.get("error") or f"the response is {status}")
        if not event and status in _UNFINISHED:
            message = f"the response is {status}: it is made in the background, and not read here"
            raise Reported({"message": message, "status": 400})
        details = response.get("incomplete_details") or {}
        self.ended, self._reason = True, given(details.get("reason")) or event or status
        # What is known of the answer goes first: its text may end it.
        yield self._counted(USAGE, response.get("usage"))
        yield from self._introduce(response, "id")
        yield from self._output(response)

    def _output(self, response: Mapping[str, Any]) -> Iterator[Delta]:
        before = {part: self._all(part) for part in _MADE}
        told = dict.fromkeys(_MADE, "")
        calls = 0
        for index, item in enumerate(response.get("output") or ()):
            self._keep(item, len(told["output_text"]), calls, done=True)
            if item.get("type") != "message":
                self._apart = len(told["output_text"])
            if item.get("type") == "function_call":
                calls += 1
                yield from self._call(item, index, done=True)
            yield from self._parts(item, told, before)
            yield from self._own(item, index)
        short = response.get("output_text")  # of servers that give no items
        if type(short) is str and not told["output_text"]:
            told["output_text"] = short
            if not before["output_text"]:
                yield from self._say("output_text", None, short)
        for part, said in before.items():
            if said:
                yield from self._say(part, None, _new(told[part], said))


_FUNCTIONS = frozenset({"custom_tool_call", "function_call"})
_TEXTUAL = _FUNCTIONS | {"message", "reasoning"}
_OF_A_TOOL = frozenset({"id", "name", "output", "outputs", "result", "results", "status", "type"})


def _beside(item: Mapping[str, Any], kind: str) -> Iterator[Delta]:
    """Yield the call of one of the server's own tools and what it gave; others as they came."""
    if not kind.endswith("_call"):
        yield other(item)
        return
    args = {n: v for n, v in item.items() if n not in _OF_A_TOOL and v is not None}
    image = kind == "image_generation_call" and item.get("result")
    outputs = ("output", "outputs", "results", *(() if image else ("result",)))
    output = next((item[name] for name in outputs if item.get(name) is not None), None)
    failed = given(item.get("status")) in {"failed", "incomplete"} or bool(item.get("error"))
    yield called(item.get("id"), str(item.get("name") or kind.removesuffix("_call")), args)
    yield result(item.get("id"), output, failed=failed, block_type=kind)
    if image:
        form = item.get("output_format") or "png"
        yield Block({"type": "image", "base64": image, "mime_type": f"image/{form}"})


def _new(whole: str, said: str) -> str:
    """Return what comes after what has been said."""
    return whole[len(said) :] if whole.startswith(said) else ""


def _place(event: Mapping[str, Any], number: int | None = None) -> tuple[Any, int]:
    """Return where a part stands: the number of its item, else its id, and its own number."""
    item = event.get("output_index")
    if number is None:
        number = event.get("content_index", event.get("summary_index"))
    return (event.get("item_id") if item is None else item, number or 0)


def _places(*, id: Any, index: Any, call_id: Any = None) -> list[tuple[str, Any]]:  # noqa: A002
    """Return where a call stands, by all of its names; the number of its item last."""
    known = {"id": given(id), "call_id": given(call_id), "index": index}
    return [each for each in known.items() if each[1] is not None]


def _texts(item: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """Yield the texts of an item: their kinds, their numbers among the parts, and themselves."""
    thoughts = item.get("type") == "reasoning"
    for place in ("summary", "content"):
        parts = item.get(place) or ()
        for number, each in enumerate([parts] if isinstance(parts, str) else parts):
            part = {"text": each} if isinstance(each, str) else each or {}
            kind = str(part.get("type"))
            if refusal := part.get("refusal"):
                yield "refusal", number, refusal
            elif text := part.get("text"):
                if kind not in _MADE:
                    thought = "summary_text" if place == "summary" else "reasoning_text"
                    kind = thought if thoughts else "output_text"
                yield kind, number, text
