"""What a rule can say of a model."""

from typing import NoReturn

from chatwright.checks.finding import Fault, Verdict

__all__ = ["SHOWN_CHARACTERS", "Outcome", "expect", "fail", "shown", "skip", "warn"]

SHOWN_CHARACTERS = 2_000
"""How much of a value a finding shows."""


class Outcome(Exception):  # noqa: N818  it is no error
    """How a rule ends that does not pass.

    Args:
        verdict: WARN, FAIL or SKIP.
        got: What came; of a SKIP, why it could not be tested.
        expected: What was expected. Default: the rule's title.
        sent: What was sent.
        fault: Whose fault it is.
    """

    def __init__(
        self,
        verdict: Verdict,
        got: str,
        expected: str = "",
        *,
        sent: str = "",
        fault: Fault | None = Fault.MODEL,
    ) -> None:
        """Keep what was found."""
        super().__init__(got)
        self.verdict = verdict
        self.got = got
        self.expected = expected
        self.sent = sent
        self.fault = fault


def expect(holds: object, got: object, expected: str = "", *, sent: object = "") -> None:
    """Fail unless something holds.

    Args:
        holds: What has to be true.
        got: What came; shown by `repr` where it is no str.
        expected: What was expected. Default: the rule's title.
        sent: What was sent.

    Raises:
        Outcome: It does not hold.
    """
    if not holds:
        fail(got, expected, sent=sent)


def fail(
    got: object, expected: str = "", *, sent: object = "", fault: Fault = Fault.MODEL
) -> NoReturn:
    """Fail; arguments as those of `expect`."""
    raise Outcome(Verdict.FAIL, shown(got), expected, sent=shown(sent), fault=fault)


def warn(
    got: object, expected: str = "", *, sent: object = "", fault: Fault = Fault.MODEL
) -> NoReturn:
    """Warn: something is not as it should be, but nothing is broken, or the LLM chose so."""
    raise Outcome(Verdict.WARN, shown(got), expected, sent=shown(sent), fault=fault)


def skip(reason: str) -> NoReturn:
    """Say that the rule could not be tested, and why."""
    raise Outcome(Verdict.SKIP, reason, fault=None)


def shown(value: object) -> str:
    """Return a value as text; a hostile `__repr__` is told, not raised."""
    try:
        return (value if isinstance(value, str) else repr(value))[:SHOWN_CHARACTERS]
    except Exception as error:  # noqa: BLE001  it is the model's
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
