"""Framing: streams as their format allows them."""

from chatwright.checks.outcome import expect, skip
from chatwright.checks.probes.answers import streaming
from chatwright.checks.probes.inspection import said
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.deltas import Usage
from chatwright.testing import Noise

TEXT = "The cät sat\non the 日本 mat."
PIECES = ["The cät ", "sat\n", "on the 日本", " mat.", Usage(9, 6)]


@rule(
    "S16",
    "A stream is read as its format allows it: comments, other fields, any line ends, cut anywhere",
    fix="Read server-sent events with a parser (httpx-sse, the provider's client), or by lines: "
    "join the bytes first, decode them in pieces (`codecs.getincrementaldecoder`), skip what does "
    "not begin with `data:`, and take one blank after it away where there is one.",
    scripted=True,
    needs=["streaming"],
)
def any_stream_is_read(trial: Trial) -> None:
    """Proxies and gateways send more than the reference shows, and cut bytes where they like.

    The same answer is streamed once plainly and once as the format allows it as well: with comments
    (OpenRouter's `: OPENROUTER PROCESSING`, nginx's pings), `event:` and `id:` lines, no blank
    after `data:`, CRLF, chunks without choices, a usage of null (Azure's, vLLM's), and packets
    that end inside of lines and letters (WHATWG's HTML, 9.2.6). Lines of JSON are only cut.
    """
    if not trial.over_http:
        skip("there is no HTTP")
    for way in streaming(trial):
        plain = trial.call(way, script=PIECES)
        text = plain.message.text
        call = trial.call(way, script=[Noise(), *PIECES])
        expect(call.error is None, f"{way}: {said(call)}", repr(text))
        got = call.message.text
        expect(got == text, f"{way}: {got!r}", f"{text!r}, as without them")
