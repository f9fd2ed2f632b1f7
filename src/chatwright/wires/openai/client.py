"""The client's end of OpenAI's chat completions: requests out, answers in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Block, Delta, Reasoning, Refusal, ToolCallDelta
from chatwright.langchain.content import REASONING_FIELD
from chatwright.langchain.media import as_media
from chatwright.wires.blocks import other
from chatwright.wires.calls import Calls, given
from chatwright.wires.keep import SERVED_BY, server
from chatwright.wires.openai.beside import Beside
from chatwright.wires.openai.messages import messages
from chatwright.wires.openai.names import OPAQUE, PARTS, PATH, REASONINGS, USAGE
from chatwright.wires.reader import Reported, TotalsReader
from chatwright.wires.wire import Ask, Written

__all__ = ["ACCEPTS", "Reader", "write"]

ACCEPTS = frozenset(
    {
        *("audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "min_p"),
        "modalities",
        *("prediction", "presence_penalty", "reasoning_effort", "repetition_penalty"),
        *("safety_identifier", "service_tier", "store", "top_k", "top_logprobs", "user"),
        *("chat_template_kwargs", "verbosity", "web_search_options"),
    }
)
"""Call parameters beside the model's fields."""

_KEPT = (
    *("id", "service_tier", "system_fingerprint", "timings"),
    "provider",  # OpenRouter's
    *("citations", "related_questions", "search_results"),  # Perplexity's
)
_TEXTS = ("text", "summary", "content", "thinking")
_THOUGHTS = frozenset({"reasoning", "thinking"})


def write(ask: Ask) -> Written:
    """Write a request."""
    quirks, request = ask.quirks, ask.request
    body: dict[str, Any] = {
        **ask.named(),
        "messages": messages(ask),
        "stream": bool(quirks.stream),
        **ask.parameters(),
    }
    if quirks.stream and quirks.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if stops := ask.stops():
        body["stop"] = stops
    if request.tools:
        body["tools"] = request.tools
    else:
        body.pop("parallel_tool_calls", None)
    if request.tools and request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return Written(f"{ask.base_url}{PATH}", body, {})


class Reader(TotalsReader):
    """Reads chunks, and whole answers: they differ in `delta` and `message` only."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        super().__init__()
        self._metadata[SERVED_BY] = server(ask.base_url)
        self._reports_stop = ask.quirks.stop == "reported"
        self._stops = frozenset(ask.request.stop)
        self._calls = Calls()
        self._beside = Beside(ask)
        self._thought = False
        self._index: Any = None  # the choice's that is read
        self._open = False  # whether a part of the answer came without a finish reason
        self._overrun = False  # whether one came after a finish reason
        self._settled = False

    @property
    def settled(self) -> bool:
        """Whether nothing of the answer can follow.

        A finish reason alone does not say so: some servers give one with each chunk, or with the
        first (open-webui/open-webui#16377, #23921). It does where it stands in a chunk of its own,
        earlier ones had none, and nothing came after one; or where a chunk of usage follows.
        """
        return self._settled

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        if self._introduced and (text := _only_text(payload)) is not None:
            if not text:
                return ()
            self._open = True
            if self.ended:
                self._overrun, self._settled = True, False
            return (text,)
        deltas: list[Delta] = []
        choices = payload.get("choices") or ()
        for choice in choices:
            if self._is_ours(choice):
                deltas += self._choice(choice)
        usage = self._usage_in(payload, choices)
        self._settled = self._settled or (self.ended and bool(usage) and not choices)
        # What is known of the answer goes first: its text may end it.
        if choices and (self.ended or not self._introduced):
            deltas = [*self._introduce(payload, *_KEPT), *deltas]
        elif self.ended:
            self._note(payload, *_KEPT)
        return [self._counted(USAGE, usage), *deltas] if usage else deltas

    def knows(self, payload: Any) -> bool:
        """Tell whether a payload is part of an answer: it has a choice, empty or not, or counts."""
        return bool(payload.get("choices") or self._usage_in(payload, ()))

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""
        self._beside.cite(self._metadata)
        return [*self._beside.flush(), *self._calls.flush(), self._finish()]

    def _is_ours(self, choice: Mapping[str, Any]) -> bool:
        """Tell whether a choice is of the answer: one is all that was asked for."""
        index = choice.get("index") or 0
        if self._index is None:
            self._index = index
        return bool(index == self._index)

    @staticmethod
    def _usage_in(payload: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> Any:
        """Return the counts: Groq has them apart, Moonshot in the choice."""
        apart = payload.get("usage") or (payload.get("x_groq") or {}).get("usage")
        return apart or next((each["usage"] for each in choices if each.get("usage")), None)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Delta]:
        if choice.get("error"):  # OpenRouter's
            raise Reported(choice)
        delta = self._delta(choice)
        deltas = [*self._said(delta, choice)]
        yield from deltas
        if logprobs := choice.get("logprobs"):
            kept = self._metadata.setdefault("logprobs", {"content": []})
            kept["content"] += logprobs.get("content") or ()
        reason = given(choice.get("finish_reason"))
        if deltas:
            self._overrun = self._overrun or self.ended
            self._open, self._settled = self._open or not reason, False
        elif reason:
            self._settled = self._open and not self._overrun
        if reason:
            self.ended, self._reason = True, reason
            stop = choice.get("stop_reason")  # vLLM's
            if self._reports_stop and stop in self._stops:
                yield stop
        elif "message" in choice and "delta" not in choice:  # a whole answer
            self.ended = True

    def _delta(self, choice: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a choice says that is new.

        Perplexity has both: an empty `delta` beside a whole `message`, or one that grows.
        """
        delta, message = choice.get("delta") or {}, choice.get("message") or {}
        says = any(value for name, value in delta.items() if name != "role")
        return delta if says or self._open or not message else message

    def _said(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> Iterator[Delta]:
        if reasoning := _reasoning(delta):
            yield Reasoning(reasoning)
        self._keep(delta)
        text = delta.get("content") or choice.get("text")  # `text`: the older completions
        if text:
            yield from (text,) if type(text) is str else self._parts(text)
        if refusal := delta.get("refusal"):
            yield Refusal(refusal)
        yield from self._beside.read(delta, said=bool(text) or self._open)
        calls = delta.get("tool_calls") or ()
        for call in [calls] if isinstance(calls, Mapping) else calls:  # TGI has one, bare
            function = call.get("function") or {}
            yield from self._calls.fragment(
                call.get("index"),
                call.get("id"),
                function.get("name"),
                function.get("arguments"),
            )
            if (extras := _beside(call, function)) and (known := self._calls.at(None)):
                yield ToolCallDelta(known.number, extras=extras)
        # Before there were tools; some servers give both.
        if (function := delta.get("function_call")) and not delta.get("tool_calls"):
            yield from self._calls.fragment(
                "function_call", None, function.get("name"), function.get("arguments")
            )

    def _keep(self, delta: Mapping[str, Any]) -> None:
        """Keep what goes back as it came, and the name by which reasoning came."""
        names = [name for name in REASONINGS if type(delta.get(name)) is str]
        if names and not self._thought:  # the first that says something, or else the first
            named = next(filter(delta.get, names), None)
            self._learn(REASONING_FIELD, named or names[0])
            self._thought = named is not None
        for name in OPAQUE & delta.keys():
            if value := delta[name]:
                self._kwargs[name] = _grown(self._kwargs.get(name), value)
                self._introduced = False

    def _parts(self, parts: Any) -> Iterator[Delta]:
        """Yield what a content list holds, as Mistral's reasoning models answer."""
        for part in [parts] if isinstance(parts, Mapping) else parts:
            if type(part) is str:
                yield part
            elif thinking := _text(part.get("thinking")):
                self._learn(REASONING_FIELD, PARTS)
                yield Reasoning(thinking)
            elif part.get("type") in _THOUGHTS:
                yield Reasoning(_text(part))  # Databricks' is a summary
            elif text := part.get("text"):
                yield text
            elif refusal := part.get("refusal"):
                yield Refusal(refusal)
            elif part.get("type") != "text":
                media = as_media(part)
                yield other(part) if media is None else Block(media)


_OF_A_CALL = frozenset({"function", "id", "index", "type"})
_OF_A_FUNCTION = frozenset({"arguments", "name"})


def _beside(call: Mapping[str, Any], function: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in a call beside what is known of one, such as Gemini's signature."""
    if call.keys() <= _OF_A_CALL and function.keys() <= _OF_A_FUNCTION:
        return {}
    extras = {k: v for k, v in call.items() if v is not None and k not in _OF_A_CALL}
    inner = {k: v for k, v in function.items() if v is not None and k not in _OF_A_FUNCTION}
    return {**extras, "function": inner} if inner else extras


def _grown(kept: Any, more: Any) -> Any:
    """Return a field with what a chunk adds to it: items of a list grow, the rest is set."""
    if isinstance(kept, Mapping) and isinstance(more, Mapping):
        return {**kept, **{name: _grown(kept.get(name), each) for name, each in more.items()}}
    if not isinstance(kept, list) or not isinstance(more, list):
        return more
    grown = [*kept]
    for each in more:
        if (place := _place(grown, each)) is not None:
            grown[place] = _joined(grown[place], each)
        elif each not in grown:  # some say the same in each chunk
            grown.append(each)
    return grown


_GROWING = ("text", "summary", "thinking")
"""The fields of reasoning's items that come in pieces; others come whole."""


def _place(items: Sequence[Any], piece: Any) -> int | None:
    """Return where the item stands that a piece goes on with: one of its index, or the last."""
    if not isinstance(piece, Mapping):
        return None
    indexed = piece.get("index") is not None
    for place in reversed(range(len(items))):
        if _goes_on(items[place], piece, indexed=indexed):
            return place
        if not indexed:
            break
    return None


def _goes_on(item: Any, piece: Mapping[str, Any], *, indexed: bool) -> bool:
    if not isinstance(item, Mapping) or not piece.keys() & _SIGNED:
        return False
    if any(item.get(name) != piece.get(name) for name in ("type", "index")):
        return False
    if len({item.get("id"), piece.get("id")} - {None}) > 1:
        return False
    return indexed or not item.get("signature")  # which comes last


_SIGNED = frozenset({"signature", *_GROWING})


def _joined(item: Mapping[str, Any], piece: Mapping[str, Any]) -> dict[str, Any]:
    grown = {
        name: f"{item.get(name) or ''}{text}"
        for name in _GROWING
        if isinstance(text := piece.get(name), str)
    }
    return {**item, **{name: each for name, each in piece.items() if each is not None}, **grown}


def _only_text(payload: Any) -> str | None:
    """Return the text of a chunk that holds nothing else, as nearly all do."""
    choices = payload.get("choices")
    if not choices or len(choices) != 1 or payload.get("usage"):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if not delta or len(delta) != 1 or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    text = delta.get("content")
    return text if type(text) is str and not choice.get("index") else None


def _reasoning(delta: Mapping[str, Any]) -> str:
    """Return the reasoning in a delta; there are some names for it, and some send it twice."""
    told = (_text(delta.get(name)) for name in REASONINGS)
    return next(filter(None, told), "") or _text(delta.get("reasoning_details"))


def _text(value: Any) -> str:
    """Return the text of reasoning: some have it in parts."""
    if isinstance(value, Mapping):
        return _text(next((value[key] for key in _TEXTS if value.get(key)), ""))
    if isinstance(value, list):
        return "".join(map(_text, value))
    return value if type(value) is str else ""
