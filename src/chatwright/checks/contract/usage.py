"""Usage: token counts, which bills are made of."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import UsageMetadataCallbackHandler

from chatwright.checks.calls.modes import STREAMING, Call
from chatwright.checks.outcome import expect, fail, shown, skip, warn
from chatwright.checks.probes.answers import able, streaming
from chatwright.checks.probes.inspection import wire
from chatwright.checks.rulebook import rule
from chatwright.checks.targets.backends import OnUpstream
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Finish, ToolCallDelta, Usage
from chatwright.testing import Received, Refuse

COUNTS = ("input_tokens", "output_tokens", "total_tokens")
ODD_NAME = "checked/model:1.5-Q4"
_PASSED = ("events_v1", "events_v2")
"""Ways whose answers are those of others."""
_INPUT = re.compile(rb'"input_tokens": ?\d+, ?')


def _answers(trial: Trial) -> dict[str, Call]:
    """Return the plain calls, by their ways."""
    return {way: trial.call(way) for way in able(trial) if way not in _PASSED}


def _usages(trial: Trial) -> dict[str, Mapping[str, Any]]:
    """Return the usage of the plain calls, and skip the rule where there is none."""
    found = {way: call.message.usage_metadata for way, call in _answers(trial).items()}
    known = {way: usage for way, usage in found.items() if usage}
    if not known:
        skip("the answers carry no usage (see U1)")
    return known


@rule(
    "U1",
    "Usage is there by default, as integers, in invoke and in stream",
    fix="Set `usage_metadata=UsageMetadata(...)` on the message, and on one chunk of a stream; "
    "where the backend has to be asked for counts in streams, ask.",
)
def usage_is_there(trial: Trial) -> None:
    """Costs, budgets and traces are made of it, and nobody switches it on.

    The backend tells its counts, and they have to arrive, unchanged, by every way of calling. Over
    OpenAI's wire, a request for a stream that does not ask for them (`stream_options`) is a
    warning: not every server tells them unasked. Over Anthropic's, the prompt's are told at the end
    again, and once only at the start. A live model that has none at all is a warning, too.
    """
    calls = _answers(trial)
    if not trial.scripted and not any(call.message.usage_metadata for call in calls.values()):
        warn("no answer carries usage", "integer counts")
    for way, call in calls.items():
        usage = call.message.usage_metadata
        expect(usage, f"{way}: usage_metadata is {usage!r}", "counts")
        values = [usage.get(name) for name in COUNTS]
        whole = all(type(each) is int and each >= 0 for each in values)
        expect(whole, f"{way}: {shown(usage)}", "integers")
        if trial.scripted:
            got = f"{way}: {values}; the backend told 9 and 11"
            expect(values[:2] == [9, 11], got, "the backend's counts")
    if trial.scripted:
        _expect_always(trial, calls)
    if trial.over_http and wire(trial) == "anthropic":
        _expect_the_start(trial, calls)
    for way in STREAMING if trial.over_http else ():
        for each in trial.call(way).received:
            unasked = not (each.body.get("stream_options") or {}).get("include_usage")
            if OnUpstream.wire_of(each) == "openai" and each.asked.stream and unasked:
                got = f"{way}: the request has no stream_options.include_usage"
                warn(got, "counts that are asked for")


def _expect_always(trial: Trial, calls: Mapping[str, Call]) -> None:
    """Expect the counts of answers that are cut, that call a tool, and that are v1's."""
    told = Usage(8, 3)
    cases: list[tuple[str, Any]] = [
        ("an answer that was cut", trial.model(["The mat", Finish("length"), told])),
        ("output_version='v1'", trial.model(["The mat.", told], output_version="v1")),
    ]
    if trial.has("calls"):
        calling = trial.model([ToolCallDelta(0, "call_1", "look_up", '{"word": "a"}'), told])
        cases.append(("an answer that is a call", calling.bind_tools([LOOK_UP])))
    for what, model in cases:
        for way in calls:
            if "v1" in what and way.endswith("v3"):
                continue
            usage = trial.call(way, "Hi", model=model).message.usage_metadata or {}
            counts = [usage.get(name) for name in COUNTS[:2]]
            expect(counts == [8, 3], f"{way}, {what}: {counts}; the backend told 8 and 3")


def _expect_the_start(trial: Trial, ways: Iterable[str]) -> None:
    """Expect the prompt's count where a stream tells it in `message_start` alone."""
    model = trial.model(_at_the_start)
    for way in ways:
        counts = trial.call(way, "Hi", model=model).message.usage_metadata or {}
        found = [counts.get(name) for name in COUNTS[:2]]
        got = f"{way}: {found}; the backend told 8 in message_start, and 3 in message_delta"
        expect(found == [8, 3], got, "[8, 3]")


def _at_the_start(received: Received) -> Iterator[Any]:
    """Answer, and leave the prompt's count out of `message_delta`, as some servers do."""
    counts = Usage(8, 3)
    if not (received.asked and received.asked.stream and received.wire and received.wire.server):
        yield from ("The mat.", counts)
        return
    writer = received.wire.server.writer(received.asked)
    writer.known = counts
    start = [*writer.begin(), *writer.feed("The mat."), *writer.feed(counts)]
    end = _INPUT.sub(b"", b"".join(writer.end()))
    head = {"Content-Type": received.wire.media_type}
    yield Refuse(200, headers=head, body=b"".join(start) + end)


@rule(
    "U2",
    "The total is the sum of input and output",
    fix="Set `total_tokens` to `input_tokens + output_tokens`.",
)
def the_total_is_the_sum(trial: Trial) -> None:
    """Some readers add the two up, others read the total; they must come to the same.

    Tried with the usual counts, with long and empty answers, and by every way of calling.
    """
    found = [_usages(trial)]
    for counts in ((100_000, 1), (7, 0)) if trial.scripted else ():
        model = trial.model(["The mat.", Usage(*counts)])
        calls = {way: trial.call(way, "Hi", model=model) for way in _answers(trial)}
        found.append({way: call.message.usage_metadata or {} for way, call in calls.items()})
        for way, usage in found[-1].items():
            told = [usage.get(name) for name in COUNTS[:2]]
            got = f"{way}: {told}; the backend told {[*counts]}"
            expect(way not in found[0] or told == [*counts], got, "the backend's counts")
    for usages in found:
        for way, usage in usages.items():
            values: list[Any] = [usage.get(name) for name in COUNTS]
            if None not in values:
                got = f"{way}: {values[0]} + {values[1]} = {values[2]}"
                expect(values[0] + values[1] == values[2], got, "the sum")


@rule(
    "U3",
    "Exactly one chunk of a stream carries usage, all of it",
    fix="Set `usage_metadata` on one chunk, best the last: when chunks are added up, counts are.",
    needs=["streaming"],
)
def usage_once(trial: Trial) -> None:
    """Counts are summed when chunks are: counts that come twice are billed twice.

    Counts that come in parts which add up are a warning: the sum is right, but v3 keeps only the
    last (`_compat_bridge.py:487-496` of langchain-core 1.7.2), and so do readers of one chunk.
    """
    for way in streaming(trial):
        call = trial.call(way)
        carrying = [each.usage_metadata for each in call.chunks if each.usage_metadata]
        if not carrying:
            skip(f"the chunks of {way} carry no usage (see U1)")
        if len(carrying) == 1:
            continue
        got = f"{way}: {len(carrying)} chunks carry usage: {shown(carrying[:3])}"
        total = call.message.usage_metadata
        right = not trial.scripted or (total["input_tokens"], total["output_tokens"]) == (9, 11)
        inputs = sum(bool(each.get("input_tokens")) for each in carrying)
        expect(right and inputs <= 1, f"{got}; they add up to {shown(total)}", "one chunk")
        warn(got, "one chunk")


@rule(
    "U4",
    "Details never exceed totals",
    fix="Count cached and cache-writing tokens into `input_tokens`, and reasoning into "
    "`output_tokens`: details are parts of them.",
    severity="warning",
)
def details_are_parts(trial: Trial) -> None:
    """Prices of details are subtracted from prices of totals; bills would become negative.

    Where the wire can tell details, the backend tells that most of the input was read from a
    cache, and half of the output was reasoning. Anthropic's counts leave cached tokens out of
    `input_tokens`, which LangChain's include; xAI's leave reasoning out of the answer's tokens, and
    clients of it add it, some of them twice. Skipped where the answers carry no details.
    """
    usages = [*_usages(trial).items()]
    if trial.scripted:
        model = trial.model(_DETAILED)
        for way in _answers(trial):
            call = trial.call(way, "Hi", model=model)
            usage = call.message.usage_metadata or {}
            usages += [(f"{way}, details told", usage)]
            totals = [usage.get(name) for name in COUNTS[:2]]
            got = f"{way}: {totals} with details; the backend told 9 and 6 in all"
            right = [[9, 6], [9, 9]] if wire(trial, call) == "xai" else [[9, 6]]
            expect(totals in right or not usage, got, "details within the totals")
    seen = False
    for way, usage in usages:
        for name in ("input", "output"):
            details = usage.get(f"{name}_token_details") or {}
            counts = [each for each in details.values() if isinstance(each, int)]
            seen = seen or any(counts)
            total = usage.get(f"{name}_tokens") or 0
            good = sum(counts) <= total and all(each >= 0 for each in counts)
            expect(good, f"{way}: {shown(details)} of {total} {name} tokens", "parts of the total")
    if not seen:
        skip("the answers carry no details")


_DETAILED: list[Any] = ["The mat.", Usage(9, 6, {"cache_read": 7}, {"reasoning": 3})]


@rule(
    "U5",
    "`UsageMetadataCallbackHandler` keys by the exact model name",
    fix="Put `model_name` into `response_metadata`, once per stream: the name that the request "
    "has, or that the backend gives back.",
)
def the_handler_knows_the_model(trial: Trial) -> None:
    """The handler adds usage up by `response_metadata["model_name"]` (`callbacks/usage.py:60-80`).

    Without the name nothing is counted; a name that repeats in a stream becomes a name twice as
    long. Tried by every way of calling, and with a name that has a slash, a colon and capitals.
    """
    usages = _usages(trial)
    calls = {way: call for way, call in _answers(trial).items() if way in usages}
    _expect_names(trial, calls, "")
    if trial.scripted and trial.takes("model"):
        model = trial.model(model=ODD_NAME)
        odd = {way: trial.call(way, "Hi", model=model) for way in calls}
        _expect_names(trial, {w: c for w, c in odd.items() if c.error is None}, ODD_NAME)


def _expect_names(trial: Trial, calls: Mapping[str, Call], name: str) -> None:
    # A router's model has a name of its own: `openai/gpt` is asked for as `gpt`.
    names = {name, str(trial.shared.maker.given.get("model", ""))} - {""}
    for way, call in calls.items():
        handler = UsageMetadataCallbackHandler()
        for args, kwargs in call.recorder.of("on_llm_end"):
            handler.on_llm_end(*args, **kwargs)
        keys = [*handler.usage_metadata]
        asked = {each.asked.model for each in call.received if each.asked} - {None}
        known = {str(each) for each in names | asked}
        got = f"{way}: counted under {keys or 'nothing'}, asked was {sorted(known)}"
        expect(len(keys) == 1 and (not known or keys[0] in known), got, "one key, the model's name")
        if not trial.scripted:
            names = {keys[0]}  # the same by every way


@rule(
    "U6",
    "An estimate of usage says so, and nothing is invented",
    fix="Leave `usage_metadata` at None where nothing is known; mark an estimate in "
    "`response_metadata`, say by `usage_estimated=True`.",
    scripted=True,
)
def estimates_say_so(trial: Trial) -> None:
    """Made-up counts become made-up bills.

    The backend tells no counts. None is right; counts of the model's own are right where a key
    with "estimated" or "approximate" in it says so. Zeros are a warning. Skipped over Anthropic's
    wire, where counts always come.
    """
    script: list[Any] = ["The mat."]
    model = trial.model(lambda _: script)
    zeros = []
    for way in able(trial):
        if way in _PASSED:
            continue
        script.append(Usage(7, 5))  # told once, it must not be told again
        trial.call(way, "Hi", model=model)
        script.pop()
        call = trial.call(way, "Hi", model=model)
        if any(OnUpstream.wire_of(each) == "anthropic" for each in call.received):
            skip("the wire always tells counts")
        message = call.message
        usage = message.usage_metadata
        if not usage or _is_marked(message):
            continue
        if any(usage.get(name) for name in COUNTS):
            fail(f"{way}: {shown(usage)}; the backend told nothing", "None, or a mark")
        zeros.append(f"{way}: {shown(usage)}; the backend told nothing")
    if zeros:
        warn(zeros[0], "None")


def _is_marked(message: Any) -> bool:
    def names(value: Any) -> Iterable[str]:
        if isinstance(value, Mapping):
            for name, each in value.items():
                yield from [str(name).lower()] if each else ()
                yield from names(each)

    places = (message.response_metadata, message.additional_kwargs, message.usage_metadata)
    return any(
        mark in name for place in places for name in names(place) for mark in ("estimat", "approx")
    )
