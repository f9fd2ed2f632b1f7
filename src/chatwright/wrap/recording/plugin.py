"""A pytest plugin: what a test asks models is recorded to a cassette of its own, and replayed."""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatwright.langchain.model import ChatModel

__all__ = [
    "chatwright_recorded",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_setup",
]

MARKER = "chatwright_cassette"
_MODES = ("none", "once", "new", "all")
_LONGEST = 100
"""Characters: no file's name made of a test's is longer."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which the mode of all tests is chosen."""
    parser.getgroup("chatwright").addoption(
        "--chatwright-record",
        choices=_MODES,
        help="how cassettes are used, in place of what markers say: none replays alone, once "
        "records those that are not there, new records what they lack, all records anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(path=None, *, mode=None, timing=False): the cassette of the models that "
        "`chatwright_recorded` makes; path is seen from the test's file, by default "
        "cassettes/FILE/TEST.jsonl; mode is by default once, and none where CI is set",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that does nothing."""
    names = getattr(item, "fixturenames", ())
    if item.get_closest_marker(MARKER) and "chatwright_recorded" not in names:
        pytest.fail(
            f"{item.name} is marked with {MARKER}, and records nothing: make its models by the "
            "fixture `chatwright_recorded(model)`",
            pytrace=False,
        )


@pytest.fixture
def chatwright_recorded(request: pytest.FixtureRequest) -> "Callable[[Any], ChatModel]":
    """Return a function that makes any model a recorded one, on the test's own cassette."""
    # All of pytest's users load this module; LangChain is slow to import.
    from chatwright.wrap.recording.model import on_tape  # noqa: PLC0415
    from chatwright.wrap.recording.tape import Tape  # noqa: PLC0415

    marker = request.node.get_closest_marker(MARKER)
    path, mode, timing = _given(*marker.args, **marker.kwargs) if marker else _given()
    chosen: Any = request.config.getoption("--chatwright-record") or mode or _usual_mode()
    file = Path(request.path.parent, path or _path_of(request.node))
    tapes: list[Tape] = []

    def recorded(model: Any) -> "ChatModel":
        if not tapes:
            tapes.append(Tape(file, chosen, timing=timing))
        return on_tape(model, tapes[0])

    return recorded


def _given(
    path: str | Path | None = None, *, mode: Any = None, timing: bool = False
) -> tuple[str | Path | None, Any, bool]:
    """Return what a marker gives."""
    return path, mode, timing


def _usual_mode() -> str:
    """Return `none` on a CI server, which has no business with a real LLM unless it is told."""
    return "once" if os.environ.get("CI", "").lower() in {"", "0", "false"} else "none"


def _path_of(node: Any) -> Path:
    """Return where a test's cassette is, seen from its file."""
    test = node.nodeid.partition("::")[2] or node.name
    name = re.sub(r"[^\w.\-\[\]]+", "_", test.replace("::", "."))
    if name != test.replace("::", ".") or len(name) > _LONGEST:  # others may become the same
        digest = hashlib.blake2b(test.encode(), digest_size=4).hexdigest()
        name = f"{name[:_LONGEST]}-{digest}"
    return Path("cassettes", node.path.stem, f"{name}.jsonl")
