"""A pytest plugin: every rule is a test of the model that the fixture `chatwright_model` gives."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chatwright.checks.finding import Finding
    from chatwright.checks.rulebook import Rule
    from chatwright.checks.run.engine import Run

__all__ = [
    "chatwright_check",
    "chatwright_finding",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_runtest_call",
]


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line(
        "markers",
        "chatwright(only=, skip=, strict=False, **options): the rules that `chatwright_finding` "
        "tries, and how; options are those of chatwright.checks.check",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test per rule of one that asks for `chatwright_finding`."""
    if "chatwright_finding" in metafunc.fixturenames:
        # All of pytest's users load this module; LangChain is slow to import.
        from chatwright.checks.rulebook import rules  # noqa: PLC0415

        given = _given(metafunc.definition)
        chosen = rules(given.get("only"), given.get("skip", ()))
        metafunc.parametrize("_chatwright_rule", chosen, ids=[each.id for each in chosen])


def _given(node: Any) -> dict[str, Any]:
    marker = node.get_closest_marker("chatwright")
    return dict(marker.kwargs) if marker else {}


@pytest.fixture(scope="session")
def _chatwright_runs() -> "Iterator[dict[Any, Run]]":
    runs: dict[Any, Run] = {}
    yield runs
    for each in runs.values():
        each.close()


@pytest.fixture
def chatwright_check(
    _chatwright_runs: "dict[Any, Run]", request: pytest.FixtureRequest
) -> "Callable[[Any, Rule], Finding]":
    """Return a function that tries one rule on a model; tests of one model share what they can."""
    from chatwright.checks.run.engine import Options, Run  # noqa: PLC0415  slow to import

    given = _given(request.node)
    kwargs = given.get("kwargs")
    names = given.keys() - {"kwargs", "only", "skip", "strict"}
    options = {name: given[name] for name in names}

    def tries(model: Any, rule: "Rule") -> "Finding":
        key = (id(model), repr((kwargs, sorted(options.items()))))
        if key not in _chatwright_runs:
            _chatwright_runs[key] = Run(model, kwargs, Options(**options))
        return _chatwright_runs[key].try_rule(rule)

    return tries


@pytest.fixture
def chatwright_finding(
    chatwright_model: Any,
    _chatwright_rule: "Rule",
    chatwright_check: "Callable[[Any, Rule], Finding]",
) -> "Finding":
    """Return what one rule finds of the model that the fixture `chatwright_model` gives.

    A SKIP skips the test; a FAIL fails it, and so does a WARN under the marker's `strict=True`.
    """
    finding = chatwright_check(chatwright_model, _chatwright_rule)
    if finding.verdict == "SKIP":
        pytest.skip(finding.got)
    return finding


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail the test where its rule does: in its call, as a fixture's failure is an error."""
    finding = getattr(item, "funcargs", {}).get("chatwright_finding")
    strict = _given(item).get("strict")
    if finding and (finding.verdict == "FAIL" or (strict and finding.verdict == "WARN")):
        pytest.fail(_told(finding), pytrace=False)


def _told(finding: "Finding") -> str:
    told = {
        "got": finding.got,
        "expected": finding.expected,
        "sent": finding.sent,
        "fix": finding.fix,
        "see": finding.link,
    }
    lines = [f"  {name}: {value}" for name, value in told.items() if value]
    return "\n".join([f"{finding.rule}: {finding.title}", *lines])
