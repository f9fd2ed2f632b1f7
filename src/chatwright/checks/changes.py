"""What has changed in the contract, by its versions: reports name the one that they judge by."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["CHANGES", "CONTRACT", "Change", "version_of"]


class Change(NamedTuple):
    """A version of the contract.

    Args:
        version: Its number.
        why: What it is about.
        rules: What has changed, by the rules' ids; `new` where a rule is.
    """

    version: str
    why: str
    rules: Mapping[str, str]


CHANGES: Sequence[Change] = (
    Change(
        "2",
        "models as they are published: right ones were accused, wrong ones passed",
        {
            "B1": "a model that async code alone can call fails here, and is tried by async calls",
            "B10": "prompts and answers may be decorated: what counts is the question's number",
            "B11": "new",
            "S16": "new",
            "T1": "bind_tools may return any Runnable, such as a copy of the model",
            "T2": "`any` may go out as it is to providers that know it (Fireworks)",
            "U4": "xAI counts reasoning beside the answer's tokens",
            "K1": "a constructor may refuse an address with a password",
            "K2": "skipped where a function that makes the model has a key of its own",
            "R6": "constructors' parameters, the model's name first, are tried over HTTP as well",
            "E5": "prompts and answers may be decorated, as for B10",
            "E6": "new",
        },
    ),
    Change("1", "the first", {}),
)
"""The newest first."""
CONTRACT = CHANGES[0].version


def version_of(rule: str) -> int:
    """Return the version of a rule: one more with each change of it."""
    told = [each.rules[rule] for each in CHANGES if rule in each.rules]
    return 1 + sum(each != "new" for each in told)
