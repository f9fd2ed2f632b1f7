"""langchain-tests as one group of findings."""

import contextlib
import importlib.util
import inspect
import io
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chatwright.checks.finding import Fault, Finding, Severity, Verdict
from chatwright.checks.outcome import SHOWN_CHARACTERS
from chatwright.checks.targets.backends import Stage
from chatwright.checks.targets.constructor import Maker
from chatwright.testing import little_llm

__all__ = ["suites"]

SECTION = "langchain-tests"
LINK = "https://docs.langchain.com/oss/python/contributing/standard-tests-langchain"
_ABILITIES = {
    "images": "supports_image_inputs",
    "audio": "supports_audio_inputs",
    "files": "supports_pdf_inputs",
}
FILE = Path(__file__).parent / "langchain_tests_file.py"
SNAPSHOT = "test_serdes"
_OUTCOMES = {"passed": Verdict.PASS, "failed": Verdict.FAIL, "skipped": Verdict.SKIP}

TRACED = re.compile(r"\bls_[a-z]+_")
"""What LangSmith is told, and nobody else: R1 and O3 warn of it, too."""

classes: dict[str, type] = {}
"""The test classes of the run under way; `langchain_tests_file` hands them to pytest."""
_loop = [""]
"""The async test under way, which has an event loop of its own; none for sync ones."""


def suites(stage: Stage, made: Maker, declared: frozenset[str]) -> Iterator[Finding]:
    """Yield what langchain-tests' unit and integration suites find.

    They run in this process, on models whose backend is a little LLM; a live model is not called.

    Args:
        stage: Makes the models.
        made: Says what their constructor takes.
        declared: What the model is said to support.
    """
    if importlib.util.find_spec("langchain_tests") is None:
        yield _finding(
            "suites", Verdict.SKIP, 'it is not installed: pip install "chatwright[check]"'
        )
    elif stage.layer == "live":
        yield _finding("suites", Verdict.SKIP, "the model would be called for real, many times")
    else:
        suites_of, refused = _test_classes(stage, made, declared)
        for name, error in refused.items():
            got = f"{name} is refused, and left out: {type(error).__name__}: {error}"
            yield _finding(f"standard_params.{name}", Verdict.SKIP, got)
        yield from _run(suites_of)


def _finding(name: str, verdict: Verdict, got: str, seconds: float = 0.0) -> Finding:
    wrong = verdict is Verdict.FAIL
    if wrong and TRACED.search(got):
        verdict = Verdict.WARN
    return Finding(
        rule=name,
        title=f"langchain-tests: {name.rpartition('.')[2].removeprefix('test_').replace('_', ' ')}",
        section=SECTION,
        verdict=verdict,
        severity=Severity.ERROR,
        fault=Fault.MODEL if wrong else None,
        layer=SECTION,
        got=got[-SHOWN_CHARACTERS:],
        expected="the test passes" if wrong else "",
        fix="See the test's docstring in langchain-tests." if wrong else "",
        link=LINK,
        seconds=seconds,
    )


def _test_classes(
    stage: Stage, made: Maker, declared: frozenset[str]
) -> tuple[dict[str, type], dict[str, Exception]]:
    """Return what a user of langchain-tests would write by hand, and what the class refuses."""
    from langchain_tests.integration_tests import ChatModelIntegrationTests  # noqa: PLC0415  an extra
    from langchain_tests.unit_tests import ChatModelUnitTests  # noqa: PLC0415  an extra

    cls = type(stage.make(little_llm, {}).model)

    kept: dict[str, Any] = {}

    def make(_: Any, **kwargs: Any) -> Any:
        key = _loop[0] + repr(sorted(kwargs.items()))  # making a model is what takes the time
        if key not in kept:
            kept[key] = stage.make(little_llm, made.accepted(**kwargs)).model
        return kept[key]

    plain = type("Plain", (ChatModelUnitTests,), {"chat_model_class": _always(cls)})()
    standard = plain.standard_chat_model_params
    refused = _refused(make, standard)
    # Calling it makes a model on the stage; all else that tests ask of the class, it inherits.
    stand_in = type(cls.__name__, (cls,), {"__new__": make, "__module__": cls.__module__})
    given: dict[str, Any] = {
        "chat_model_class": _always(stand_in),
        "chat_model_params": _always({}),
        "standard_chat_model_params": _always({n: standard[n] for n in standard.keys() - refused}),
        **{name: _always(ability in declared) for ability, name in _ABILITIES.items()},
    }
    return {
        "TestUnit": type("TestUnit", (ChatModelUnitTests,), given),
        "TestIntegration": type("TestIntegration", (ChatModelIntegrationTests,), given),
    }, refused


def _refused(make: Callable[..., Any], standard: Mapping[str, Any]) -> dict[str, Exception]:
    """Return the standard parameters that the class refuses by their names, with its errors.

    An author would leave them out of `standard_chat_model_params`.
    """
    try:
        make(None, **standard)
    except Exception:  # noqa: BLE001  the class's own
        errors = {name: _error(make, **{name: value}) for name, value in standard.items()}
        return {name: each for name, each in errors.items() if each and name in str(each)}
    return {}


def _error(make: Callable[..., Any], **given: Any) -> Exception | None:
    try:
        make(None, **given)
    except Exception as error:  # noqa: BLE001  the class's own
        return error
    return None


def _always(value: Any) -> property:
    return property(lambda _: value)


class _Listener:
    """A pytest plugin that keeps how tests end."""

    def __init__(self) -> None:
        self.found: dict[str, Finding] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [each for each in items if each.name != SNAPSHOT]

    def pytest_runtest_setup(self, item: Any) -> None:
        _loop[0] = item.nodeid if inspect.iscoroutinefunction(item.function) else ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        kind, _, name = report.nodeid.partition("::")[2].partition("::")
        rule = f"{kind.removeprefix('Test').lower()}.{name}"
        if report.when != "call" and report.outcome == "passed":
            return
        got = ""
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            got = str(report.longrepr[2]).removeprefix("Skipped: ")
        elif report.outcome != "passed":
            crash = getattr(report.longrepr, "reprcrash", None)
            got = getattr(crash, "message", None) or str(report.longrepr)
        if hasattr(report, "wasxfail"):
            got = f"expected to fail: {report.wasxfail}"
        self.found[rule] = _finding(rule, _OUTCOMES[report.outcome], got, report.duration)


def _run(made: dict[str, type]) -> Iterator[Finding]:
    import pytest  # noqa: PLC0415  an extra

    listener, said = _Listener(), io.StringIO()
    started = time.perf_counter()
    for name in [each for each in sys.modules if each.endswith(FILE.stem)]:
        del sys.modules[name]  # it holds the classes of the last run
    classes.clear()
    classes.update(made)
    with tempfile.TemporaryDirectory() as directory:
        ours = Path(directory) / "pytest.ini"
        ours.touch()  # whatever else would be found
        arguments = [
            str(FILE),
            *("-q", "-c", str(ours), "--rootdir", directory, "--import-mode=importlib"),
            *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:chatwright"),
            *("--override-ini", "asyncio_mode=auto", "--capture=sys", "-W", "ignore"),
            "--benchmark-disable",  # its instrumentation takes many seconds at times
        ]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = pytest.main(arguments, plugins=[listener])
    if not listener.found:
        got = f"pytest ended with {code!r} after {time.perf_counter() - started:.1f} s: "
        yield _finding("suites", Verdict.SKIP, f"{got}{said.getvalue()[-500:]}")
    yield from listener.found.values()
    reason = "it compares with a snapshot that only the package's own tests have; see K3"
    yield _finding(f"unit.{SNAPSHOT}", Verdict.SKIP, reason)
