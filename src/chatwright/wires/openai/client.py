"""The client's end of OpenAI's chat completions: requests out, answers in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatwright.deltas import Delta, Reasoning, Refusal, ToolCallDelta
from chatwright.langchain.openai import as_openai
from chatwright.wires.openai.names import PATH, REASONING, USAGE
from chatwright.wires.reader import TotalsReader
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


def _messages(ask: Ask) -> list[dict[str, Any]]:
    messages = as_openai(ask.request.messages)
    name = ask.quirks.reasoning
    if name and name != REASONING:
        for message in messages:
            if REASONING in message:
                message[name] = message.pop(REASONING)
    return messages


class Reader(TotalsReader):
    """Reads chunks, and whole answers: they differ in `delta` and `message` only."""

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        super().__init__()
        self._reports_stop = ask.quirks.stop == "reported"
        self._stops = frozenset(ask.request.stop)
        self._calls = -1

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        if (text := _only_text(payload)) is not None:
            return (text,) if text else ()
        deltas: list[Delta] = []
        for choice in payload.get("choices") or ():
            if choice.get("index"):
                continue  # one answer is all that was asked for
            deltas += self._choice(choice)
        # What is known of the answer goes first: its text may end it.
        if self.ended:
            self._metadata |= {key: payload[key] for key in _KEPT if payload.get(key)}
            deltas = [*self.flush(), *deltas]
        usage = payload.get("usage")
        return [USAGE.read(usage), *deltas] if usage else deltas

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Delta]:
        delta = choice.get("delta") or choice.get("message") or {}
        if reasoning := _reasoning(delta):
            yield Reasoning(reasoning)
        text = delta.get("content", choice.get("text"))  # `text`: the older completions
        if text:
            yield from (text,) if type(text) is str else _parts(text)
        for call in delta.get("tool_calls") or ():
            yield self._call(call, call.get("function") or {})
        yield from self._rarities(choice, delta)
        if reason := choice.get("finish_reason"):
            self.ended, self._reason = True, reason
            stop = choice.get("stop_reason")  # vLLM's
            if self._reports_stop and stop in self._stops:
                yield stop
        elif "message" in choice:  # a whole answer
            self.ended = True

    def _rarities(self, choice: Mapping[str, Any], delta: Mapping[str, Any]) -> Iterator[Delta]:
        if refusal := delta.get("refusal"):
            yield Refusal(refusal)
        if function := delta.get("function_call"):  # before there were tools
            yield self._call({"index": 0}, function)
        if logprobs := choice.get("logprobs"):
            kept = self._metadata.setdefault("logprobs", {"content": []})
            kept["content"] += logprobs.get("content") or ()

    def _call(self, call: Mapping[str, Any], function: Mapping[str, Any]) -> ToolCallDelta:
        index = call.get("index")
        if index is None:  # a fragment with a name begins a call
            self._calls += bool(function.get("name"))
            index = max(self._calls, 0)
        return ToolCallDelta(
            int(index), call.get("id"), function.get("name"), function.get("arguments") or ""
        )


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
    """Return the reasoning in a delta; there are three names for it, and some send it twice."""
    found = delta.get(REASONING) or delta.get("reasoning")
    if not found and (details := delta.get("reasoning_details")):
        return "".join(each.get("text") or each.get("summary") or "" for each in details)
    return found if type(found) is str else ""


def _parts(parts: Sequence[Mapping[str, Any]]) -> Iterator[Delta]:
    """Yield what a content list holds, as Mistral's reasoning models answer."""
    for part in parts:
        thinking = part.get("thinking")
        if isinstance(thinking, list):
            thinking = "".join(each.get("text", "") for each in thinking)
        if thinking:
            yield Reasoning(thinking)
        elif text := part.get("text"):
            yield text
