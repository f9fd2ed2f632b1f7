"""Where a model is tried: it is pointed at the fake upstream, if that can be done."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatwright.checks.calls.causes import is_lost
from chatwright.checks.calls.evidence import shown_error
from chatwright.checks.calls.limits import Exceeded, guarded
from chatwright.checks.calls.offline import offline
from chatwright.checks.targets.backends import PROMPT, Live, OnUpstream, Stage, Substituted
from chatwright.checks.targets.constructor import Maker
from chatwright.wires import DIALECTS, WIRES

__all__ = ["UPSTREAMS", "PointingError", "staged"]

UPSTREAMS = ("auto", *DIALECTS, *WIRES, "none")
POINTING_SECONDS = 20.0
_ADDRESS = re.compile(r"^/m\d+/v1")
"""The address that a model is given: `OnUpstream` makes it."""
UNKNOWN = "unknown"
"""The wire of a model that fails before it asks for anything."""


class PointingError(ValueError):
    """The model can't be made to speak to the fake upstream."""


def staged(made: Maker, instance: BaseChatModel | None, upstream: str) -> Stage:
    """Return where a model is tried.

    Raises:
        PointingError: It should speak to the upstream, and can't be made to; or can't be made.
        ValueError: There is no such upstream.
    """
    if upstream not in UPSTREAMS:
        raise ValueError(f"there is no upstream {upstream!r}; there are {', '.join(UPSTREAMS)}")
    if upstream == "none":
        return _as_it_is(made, instance)
    why, replaceable = f"{made.name} takes no address, such as base_url", True
    if made.parameter("base_url"):
        stage, why, speaks_another = _on_upstream(made, upstream)
        if stage is not None:
            return stage
        replaceable = instance is not None or (speaks_another and upstream == "auto")
    if replaceable and _is_own(made, instance):
        return Substituted(made)
    if upstream != "auto":
        raise PointingError(f"{why}; give a function that makes the model with base_url=…")
    if made.parameter("base_url"):  # it is not called for real where nobody has said so
        raise PointingError(
            f"{why}; set what is missing by kwargs, give a function that makes the model with "
            "base_url=…, or test it as it is: upstream='none'"
        )
    return _as_it_is(made, instance)


def _on_upstream(made: Maker, upstream: str) -> tuple[OnUpstream | None, str, bool]:
    """Return where a model speaks to the upstream; or why it does not.

    The last of the three tells whether it asked there, by a wire that is none of the upstream's.
    """
    stage = OnUpstream(made)
    try:
        wire, why = _pointed(stage, made.name)
        if wire and wire != UNKNOWN and upstream not in ("auto", wire, *DIALECTS):
            wire, why = None, f"{made.name} speaks {wire}, not {upstream}"
        elif wire and wire != UNKNOWN:
            stage.speak(upstream if upstream in DIALECTS else _dialect(stage))
    except BaseException:
        stage.close()
        raise
    if wire:
        return stage, "", False
    stage.close()
    return None, why, bool(stage.strays)


def _as_it_is(made: Maker, instance: BaseChatModel | None) -> Stage:
    """Return a stage for a model that nothing is changed of.

    Raises:
        PointingError: It can't be made.
    """
    stage = Live(made, instance)
    try:
        stage.make(None, {})
    except Exception as error:
        why = f"{type(error).__name__}: {shown_error(error)}"
        given = "give what is missing by kwargs, or a function that makes the model"
        raise PointingError(f"{made.name} can't be made ({why}); {given}") from error
    return stage


def _pointed(stage: OnUpstream, name: str) -> tuple[str | None, str]:
    """Return the wire by which a model has spoken to the upstream, or why it has not."""
    said: list[str] = []
    seen: list[Any] = []
    lost: list[bool] = []

    def ask() -> None:
        try:
            made = stage.make(None, {})
            seen.append(made.received)
            made.model.invoke(PROMPT)
        except NotImplementedError as error:
            said.append(f"{type(error).__name__}: {shown_error(error)}")
            stage.only_async = _answers_async(made.model)
        except BaseException as error:  # noqa: BLE001  it is the model's
            said.append(f"{type(error).__name__}: {shown_error(error)}")
            lost.append(is_lost(error))  # it asks another server: ours listens

    try:
        with offline() as elsewhere:
            guarded(ask, seconds=POINTING_SECONDS)
    except Exceeded as error:
        said.append(str(error))
    if not any(seen) and any("retries" in each for each in said) and stage.retry_once():
        return _pointed(stage, name)
    if seen and seen[0]:
        return stage.wire_of(seen[0][0]), ""
    if stage.strays:
        return None, _strayed(name, [*dict.fromkeys(stage.strays)])
    if elsewhere:
        return None, f"{name} asked for {elsewhere[0]}, in place of the address that it is given"
    if seen and said and not any(lost):  # it fails before it asks for anything: a finding
        return UNKNOWN, ""
    return None, f"{name} sent nothing to the upstream ({said[0] if said else 'nor did it fail'})"


def _strayed(name: str, paths: Sequence[str]) -> str:
    """Return why no wire answers what a model asks for, below the address that it is given."""
    below = [_ADDRESS.sub("", each) for each in paths]
    if not all(each.partition("?")[0].strip("/") for each in below):
        return f"{name} asked for {', '.join(paths)}; the address it is given is a base, to add to"
    speaks = ", ".join(wire.path for wire in WIRES.values())
    return (
        f"{name} asked for {', '.join(below)} below its address, which is of no wire that the fake "
        f"upstream speaks ({speaks})"
    )


def _answers_async(model: BaseChatModel) -> bool:
    try:
        asyncio.run(model.ainvoke(PROMPT))
    except BaseException:  # noqa: BLE001  it is the model's
        return False
    return True


def _dialect(stage: OnUpstream) -> str:
    """Return the dialect of the model's provider, as its traces name it; empty for none."""
    model: Any = stage.make(None, {}).model
    provider = str(model._get_ls_params().get("ls_provider"))  # noqa: SLF001  where it is told
    return next((each for each in DIALECTS if provider.startswith(each)), "")


def _is_own(made: Maker, instance: BaseChatModel | None) -> bool:
    """Tell whether a model is made of a source that a script can replace."""
    return hasattr(instance if instance is not None else made.build, "reply")
