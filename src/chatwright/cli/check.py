"""`chatwright check`: what holds of a chat model."""

import inspect
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli import app, handled
from chatwright.cli.options import import_from_here
from chatwright.cli.streams import is_terminal, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatwright.checks.finding import Finding, Report
    from chatwright.checks.run.engine import Options

__all__ = ["check", "find"]

FORMATS = ("text", "json", "junit", "html", "github", "badge", "shields")


def find(named: str) -> Any:
    """Return what a MODEL argument names: a chat model, its class, or a function that makes one.

    Raises:
        LoadError: It names nothing that can be loaded.
    """
    from chatwright.wrap.load import attribute, load  # noqa: PLC0415  slow to import

    import_from_here()
    found = attribute(named)
    return load(named) if found is None or _is_source(found) else found


def _is_source(found: Any) -> bool:
    """Tell whether something answers messages, and is no chat model yet."""
    from langchain_core.language_models import BaseChatModel  # noqa: PLC0415  slow to import
    from langchain_core.runnables import Runnable  # noqa: PLC0415  slow to import

    if isinstance(found, Runnable):
        return not isinstance(found, BaseChatModel)
    is_function = inspect.isfunction(found) or inspect.ismethod(found)
    return is_function and "messages" in inspect.signature(found).parameters


_Model = Annotated[
    str | None,
    typer.Argument(
        help="smollm2, FILE.toml, http://…, or MODULE:NAME of a chat model, of its class, or "
        "of a function that takes base_url and returns one."
    ),
]
_Upstream = Annotated[
    str,
    typer.Option(
        "--upstream",
        help="The wire of the fake upstream: openai, ollama, anthropic; auto finds it out; "
        "none tests the model as it is.",
    ),
]
_Kwargs = Annotated[
    list[str] | None,
    typer.Option("--kwargs", "-k", help="NAME=VALUE for the constructor; may be repeated."),
]
_Only = Annotated[str | None, typer.Option("--only", help="The rules that are wanted: S,P3.")]
_Skip = Annotated[str | None, typer.Option("--skip", help="The rules that are not.")]
_Declare = Annotated[
    str | None,
    typer.Option("--declare", help="What the model supports: tools,images,audio,files."),
]
_Report = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="text, json, junit, html, github, badge (an SVG) or shields (shields.io's JSON).",
    ),
]
_Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where the report goes. Default: here.")
]
_Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", help="A report in JSON: only what is new since counts."),
]
_Strict = Annotated[bool, typer.Option("--strict", help="Warnings count as well.")]
_Live = Annotated[
    bool, typer.Option("--live", help="Call the model itself too, not only on the upstream.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before live calls.")]
_MaxCalls = Annotated[
    int, typer.Option("--max-calls", help="How often a live model may be called.", min=1)
]
_MaxCost = Annotated[
    float | None, typer.Option("--max-cost", help="What live calls may cost in all.")
]
_Price = Annotated[
    str | None,
    typer.Option("--price", help="IN,OUT: what a million tokens cost. Default: as it tells."),
]
_Timeout = Annotated[float, typer.Option("--timeout", help="How long one call may take, in s.")]
_LangchainTests = Annotated[
    bool | None,
    typer.Option("--langchain-tests/--no-langchain-tests", help="Run its suites as well."),
]
_Explain = Annotated[str | None, typer.Option("--explain", help="Print a rule's page instead: P3.")]


@app.command("check")
@handled
def check(
    model: _Model = None,
    upstream: _Upstream = "auto",
    kwargs: _Kwargs = None,
    only: _Only = None,
    skip: _Skip = None,
    declare: _Declare = None,
    report: _Report = "text",
    output: _Output = None,
    baseline: _Baseline = None,
    strict: _Strict = False,
    live: _Live = False,
    yes: _Yes = False,
    max_calls: _MaxCalls = 60,
    max_cost: _MaxCost = None,
    price: _Price = None,
    timeout: _Timeout = 15.0,
    langchain_tests: _LangchainTests = None,
    explain: _Explain = None,
) -> int:
    """Tell what holds of a chat model, rule by rule, with the evidence and the fix.

    Exit codes: 0 all passed, 1 findings, 2 wrong use, 3 check's own failure.
    """
    if explain:
        return _explain(explain)
    try:
        options = _options(
            upstream=upstream,
            only=_listed(only),
            skip=_listed(skip) or (),
            declare=_listed(declare) or (),
            live=live,
            langchain_tests=langchain_tests,
            max_calls=max_calls,
            max_cost=max_cost,
            price=_price(price),
            timeout=timeout,
        )
        given = _given(kwargs or ())
        known = _known(baseline)
    except ValueError as error:
        return _misused(error)
    if model is None:
        return _misused("there is no MODEL to check")
    if report not in FORMATS:
        return _misused(f"there is no format {report!r}; there are {', '.join(FORMATS)}")
    written = Written(report, output, known, strict)
    return _checked(model, given, options, written, yes=yes)


def _misused(error: object) -> int:
    typer.echo(f"chatwright: {error}", err=True)
    return 2


def _listed(values: str | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    return tuple(each for each in values.replace(" ", "").split(",") if each)


def _price(price: str | None) -> tuple[float, float] | None:
    if price is None:
        return None
    try:
        spent, made = (float(each) for each in price.split(","))
    except ValueError:
        raise ValueError(f"{price!r} is no price; it is like 3,15") from None
    return spent, made


def _given(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Return `NAME=VALUE`s; a value that is JSON is read as such."""
    given = {}
    for each in pairs:
        name, separator, value = each.partition("=")
        if not separator or not name.isidentifier():
            raise ValueError(f"{each!r} is not NAME=VALUE")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return given


def _options(**options: Any) -> "Options":
    from chatwright.checks.rulebook import rules  # noqa: PLC0415  slow to import
    from chatwright.checks.run.engine import Options  # noqa: PLC0415  slow to import
    from chatwright.checks.targets.redirect import UPSTREAMS  # noqa: PLC0415  slow to import

    made = Options(**options)
    rules(made.only, made.skip)  # it names those that are unknown
    if made.upstream not in UPSTREAMS:
        raise ValueError(f"there is no upstream {made.upstream!r}: {', '.join(UPSTREAMS)}")
    if made.max_cost is not None and made.price is None:
        typer.echo("chatwright: without --price, only costs that the model tells count", err=True)
    return made


def _explain(rule_id: str) -> int:
    from rich.console import Console  # noqa: PLC0415  slow to import
    from rich.markdown import Markdown  # noqa: PLC0415  slow to import

    from chatwright.checks.reference import page  # noqa: PLC0415  slow to import
    from chatwright.checks.rulebook import known  # noqa: PLC0415  slow to import

    try:
        rule = known(rule_id.upper() if rule_id.upper() != rule_id else rule_id)
    except ValueError as error:
        return _misused(error)
    if sys.stdout.isatty():
        Console().print(Markdown(page(rule)))
    else:
        typer.echo(page(rule))
    return 0


def _known(baseline: Path | None) -> "Mapping[str, int]":
    from chatwright.checks.reports.baseline import read_baseline  # noqa: PLC0415  slow to import

    return {} if baseline is None else read_baseline(baseline)


@dataclass(frozen=True)
class Written:
    """How a report is written.

    Args:
        form: Its format.
        output: Where it goes; None for standard output.
        known: What a baseline has already.
        strict: Whether warnings count.
    """

    form: str
    output: Path | None
    known: "Mapping[str, int]"
    strict: bool


def _checked(
    model: str,
    given: dict[str, Any],
    options: "Options",
    written: Written,
    *,
    yes: bool,
) -> int:
    from rich.console import Console  # noqa: PLC0415  slow to import

    from chatwright.checks.reports.baseline import since  # noqa: PLC0415  slow to import
    from chatwright.checks.rulebook import rules  # noqa: PLC0415  slow to import
    from chatwright.checks.run.process import Refused, Supervised  # noqa: PLC0415  slow to import
    from chatwright.checks.targets.redirect import PointingError  # noqa: PLC0415  slow to import

    console = Console(stderr=True)
    status = console.status("loading", spinner="dots")

    def allow(calls: int) -> bool:
        status.stop()
        allowed = yes or _asked(model, calls)
        status.start()
        return allowed

    titles = {each.id: each.title for each in rules(options.only, options.skip)}
    failed: list[str] = []

    def tell(finding: "Finding") -> None:
        if finding.verdict == "FAIL":
            failed.append(finding.rule)

    def trying(rule: str) -> None:
        if rule == next(iter(titles), ""):  # so that whoever has no terminal knows it has begun
            said = f"{run.name or model}: {len(titles)} rules"
            console.print(said, highlight=False, markup=False, style="dim")
        told = f"{len(failed)} FAIL, " if failed else ""
        status.update(f"{told}trying {rule} {titles.get(rule, '')}"[: console.width - 6])

    run = Supervised(find, model, given, options, allow, trying)
    try:
        with status:
            found = since(run.report(tell), written.known)
    except (PointingError, Refused) as error:
        return _misused(error)
    except TypeError as error:
        if "is no chat model" in str(error):
            return _misused(error)
        raise
    _write(found, written.form, written.output)
    return found.exit_code(strict=written.strict)


def _asked(model: str, calls: int) -> bool:
    if not is_terminal():
        typer.echo(f"chatwright: {model} would be called for real; allow it by --yes", err=True)
        return False
    question = f"{model} will be called for real, at most {calls} times. Go on?"
    return typer.confirm(question, err=True)


def _write(found: "Report", report: str, output: Path | None) -> None:
    from chatwright.checks.reports import REPORTS  # noqa: PLC0415  slow to import

    if report == "text" and output is None:
        from rich.console import Console  # noqa: PLC0415  slow to import

        from chatwright.checks.reports.text import show  # noqa: PLC0415  slow to import

        show(found, Console())
        return
    make: Callable[[Report], str] = REPORTS[report]
    written = make(found)
    if output is None:
        say(written, report)
    else:
        output.write_text(written, encoding="utf-8")
        typer.echo(f"{output} is written", err=True)
