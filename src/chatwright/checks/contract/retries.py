"""Retries: how often a model asks again."""

from collections import Counter

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect
from chatwright.checks.probes.requests import key_of
from chatwright.checks.rulebook import rule
from chatwright.checks.trial import Trial
from chatwright.testing import Refuse

WAYS = ("invoke", "ainvoke", "stream")
REFUSALS = {
    400: "messages: field required",
    401: "Incorrect API key provided",
    403: "This key may not use the model",
    404: "The model does not exist",
    422: "temperature: must be at most 2",
}
"""What no asking again can cure."""
CURABLE = {429: "Rate limit reached", 503: "The server is overloaded"}


@rule(
    "E6",
    "What is refused is asked once, and `max_retries=0` means one request",
    fix="Ask again for lost connections, 408, 409, 429 and 5xx only, at most `max_retries` times: "
    "`retry_if_exception(lambda error: error.is_retryable)`, or the client's own retries.",
    scripted=True,
    seconds=40.0,
)
def refusals_are_final(trial: Trial) -> None:
    """A key that is tried five times in a row locks accounts; bills grow by failures.

    The backend refuses with 400, 401, 403, 404 and 422, which say that the request is at fault
    (RFC 9110, section 15.5), and with 429 and 503, where the constructor takes `max_retries` and is
    given 0. Each has to be asked once, by each key that a model has. Where that is not taken, how
    often the last two are asked is the model's own business.
    """
    if not trial.over_http:
        return
    asked = {**REFUSALS, **(CURABLE if trial.takes("max_retries") else {})}
    for status, why in asked.items():
        model = trial.model([Refuse(status, why)])
        for way in WAYS if trial.has("streaming") else WAYS[:2]:
            call = trial.call(way, "Hi", model=model)
            bounds = "" if status in REFUSALS else " with max_retries=0"
            got = f"{way}, HTTP {status}{bounds}: asked {_times(call)} times"
            expect(_times(call) <= 1, got, "one request")


def _times(call: Call) -> int:
    """Return how often a call asked by the same key."""
    return max(Counter(map(key_of, call.received)).values(), default=0)
