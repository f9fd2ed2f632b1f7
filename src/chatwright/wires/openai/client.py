"""The client's end of OpenAI's chat completions: requests out, answers in."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from chatwright.deltas import Delta, Reasoning, Refusal
from chatwright.langchain.content import REASONING_FIELD
from chatwright.langchain.openai import as_openai
from chatwright.wires.calls import Calls, given
from chatwright.wires.openai.names import PATH, REASONING, USAGE
from chatwright.wires.reader import Reported, TotalsReader
from chatwright.wires.wire import Ask, Written

__all__ = ["ACCEPTS", "Reader", "write"]

ACCEPTS = frozenset(
    {
        *("frequency_penalty", "logit_bias", "logprobs", "metadata", "min_p", "modalities"),
        *("prediction", "presence_penalty", "reasoning_effort", "repetition_penalty"),
        *("safety_identifier", "service_tier", "store", "top_k", "top_logprobs", "user"),
        *("chat_template_kwargs", "verbosity", "web_search_options"),
    }
)
"""Call parameters beside the model's fields."""

_KEPT = ("id", "service_tier", "system_fingerprint", "timings")
DETAILS = "reasoning_details"
"""OpenRouter's reasoning, some of it encrypted, which goes back as it came."""
EXTRAS = "tool_call_extras"
"""Where a message's `additional_kwargs` keep what a server put beside its calls, by their ids."""
MOST_STOPS = 4
"""How many stop sequences OpenAI takes; all of them hold, as they are looked for here anyway."""
MAX_NAME = 64
"""How long OpenAI lets a name be."""
_TEXTS = ("text", "summary", "content", "thinking")
_THOUGHTS = frozenset({"reasoning", "thinking"})


def write(ask: Ask) -> Written:
    """Write a request."""
    quirks, request = ask.quirks, ask.request
    body: dict[str, Any] = {
        **ask.named(),
        "messages": _messages(ask),
        "stream": bool(quirks.stream),
        **ask.parameters(),
    }
    if quirks.stream and quirks.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if stops := ask.stops():
        body["stop"] = stops[:MOST_STOPS]
    if request.tools:
        body["tools"] = request.tools
    else:
        body.pop("parallel_tool_calls", None)
    if request.tools and request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return Written(f"{ask.base_url}{PATH}", body, {})


def _messages(ask: Ask) -> list[dict[str, Any]]:
    return [_message(each, ask.quirks.reasoning) for each in ask.request.messages]


def _message(message: BaseMessage, field: str | None) -> dict[str, Any]:
    (made,) = as_openai([message])
    if name := made.pop("name", None):  # servers refuse blanks in it; an answer's, they don't take
        clean = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:MAX_NAME]
        made |= {} if message.type == "ai" else {"name": clean}
    if not isinstance(message, AIMessage):
        return made
    told = message.response_metadata
    reasoning = made.pop(REASONING, None)
    if name := told.get(REASONING_FIELD):  # Kimi wants an empty one, too
        made[name] = reasoning or ""
    elif reasoning and field:
        made[field] = reasoning
    if DETAILS in message.additional_kwargs:
        made[DETAILS] = message.additional_kwargs[DETAILS]
    if calls := made.get("tool_calls"):
        made["content"] = made.get("content") or None  # gateways to Bedrock refuse ""
        extras = message.additional_kwargs.get(EXTRAS) or {}
        made["tool_calls"] = [
            {**each, **(extras.get(each["id"]) or extras.get(f"#{number}") or {})}
            for number, each in enumerate(calls)
        ]
    return made


class Reader(TotalsReader):
    """Reads chunks, and whole answers: they differ in `delta` and `message` only."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        super().__init__()
        self._reports_stop = ask.quirks.stop == "reported"
        self._stops = frozenset(ask.request.stop)
        self._calls = Calls()
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
        """Tell whether a payload is part of an answer: it has a choice, empty or not."""
        return bool(payload.get("choices"))

    def flush(self) -> Sequence[Delta]:
        """Return what is left to say at the end."""
        return [*self._calls.flush(), self._finish()]

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
        delta = choice.get("delta") or choice.get("message") or {}
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

    def _said(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> Iterator[Delta]:
        if reasoning := _reasoning(delta):
            yield Reasoning(reasoning)
        if field := next((n for n in (REASONING, "reasoning") if type(delta.get(n)) is str), None):
            self._metadata.setdefault(REASONING_FIELD, field)
        if type(details := delta.get(DETAILS)) is list:
            self._kwargs[DETAILS] = _grown(self._kwargs.get(DETAILS, []), details)
        text = delta.get("content") or choice.get("text")  # `text`: the older completions
        if text:
            yield from (text,) if type(text) is str else _parts(text)
        if refusal := delta.get("refusal"):
            yield Refusal(refusal)
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            told = [
                *self._calls.fragment(
                    call.get("index"),
                    call.get("id"),
                    function.get("name"),
                    function.get("arguments"),
                )
            ]
            yield from told
            if extra := call.get("extra_content"):  # Gemini's signature of a thought
                number = told[0].index if told else max(len(self._calls) - 1, 0)
                key = given(call.get("id")) or f"#{number}"
                self._kwargs.setdefault(EXTRAS, {})[key] = {"extra_content": extra}
        # Before there were tools; some servers give both.
        if (function := delta.get("function_call")) and not delta.get("tool_calls"):
            yield from self._calls.fragment(
                "function_call", None, function.get("name"), function.get("arguments")
            )


def _grown(kept: Sequence[Mapping[str, Any]], more: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return reasoning's details with what a chunk adds to them: text grows, the rest is set."""
    grown = [*kept]
    for each in more:
        if not isinstance(each, Mapping):
            continue
        last = grown[-1] if grown else {}
        same = all(each.get(name) == last.get(name) for name in ("type", "index"))
        if not grown or not same or each.get("id") not in {None, last.get("id")}:
            grown.append(dict(each))
            continue
        joined = {
            name: f"{last.get(name) or ''}{text}"
            for name in ("text", "summary")
            if isinstance(text := each.get(name), str)
        }
        told = {name: value for name, value in each.items() if value is not None}
        grown[-1] = {**last, **told, **joined}
    return grown


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
    told = (_text(delta.get(name)) for name in (REASONING, "reasoning", "thinking"))
    return next(filter(None, told), "") or _text(delta.get("reasoning_details"))


def _text(value: Any) -> str:
    """Return the text of reasoning: some have it in parts."""
    if isinstance(value, Mapping):
        return _text(next((value[key] for key in _TEXTS if value.get(key)), ""))
    if isinstance(value, list):
        return "".join(map(_text, value))
    return value if type(value) is str else ""


def _parts(parts: Any) -> Iterator[Delta]:
    """Yield what a content list holds, as Mistral's reasoning models answer."""
    for part in [parts] if isinstance(parts, Mapping) else parts:
        if type(part) is str:
            yield part
        elif thinking := _text(part.get("thinking")):
            yield Reasoning(thinking)
        elif text := part.get("text"):
            yield Reasoning(text) if part.get("type") in _THOUGHTS else text
