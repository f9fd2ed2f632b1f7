"""`chatwright batch`: a chat model answers a file of any size."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chatwright.cli import app, handled
from chatwright.cli.on_ray import AtOnce, Cpus, Gpus, OnRay, RayAddress, Replicas
from chatwright.cli.options import MaxTokens, Stop, System, Temperature, import_from_here
from chatwright.errors import ParameterError

if TYPE_CHECKING:
    from chatwright.run.batch.running import Run, Summary

__all__ = ["batch"]

_Input = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT… OUTPUT",
        help="Files of rows (JSONL, CSV, Parquet; - is stdin), and where answers go "
        "(.jsonl, or .parquet for a folder). Or: report OUTPUT.",
    ),
]
_Model = Annotated[str, typer.Option("--model", "-m", help="The model, as in chat.")]
_Prompt = Annotated[
    str | None,
    typer.Option(help="The prompt, with columns in braces: 'Translate: {text}'; @FILE reads it."),
]
_Schema = Annotated[
    Path | None, typer.Option(help="A file with the JSON schema that answers conform to.")
]
_Tools = Annotated[Path | None, typer.Option(help="A file with a list of tools, in OpenAI's form.")]
_Concurrency = Annotated[
    str, typer.Option(metavar="auto|N", help="How many rows are asked at once.")
]
_Rate = Annotated[str | None, typer.Option(metavar="N[/min]", help="Requests a minute (or N/s).")]
_TokenRate = Annotated[str | None, typer.Option(metavar="N[/min]", help="Tokens a minute.")]
_Budget = Annotated[
    float | None, typer.Option(metavar="USD", help="What all answers together may cost.")
]
_MaxRetries = Annotated[int, typer.Option(min=0, help="How often a row is asked again.")]
_Timeout = Annotated[float, typer.Option(help="Seconds that one answer may take.")]
_RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask failed rows again.")]
_Fresh = Annotated[bool, typer.Option("--fresh", help="Replace what an earlier run left.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Read so many rows at most.")]
_Sample = Annotated[
    int | None, typer.Option(min=1, help="Ask so many rows first, and estimate the whole.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read and count the rows, show a prompt, ask nothing.")
]
_Yes = Annotated[bool, typer.Option("--yes", help="Go on after a sample without asking.")]
_Ordered = Annotated[
    bool, typer.Option("--ordered", help="Put the output into the input's order at the end.")
]
_Format = Annotated[
    str | None, typer.Option("--format", help="jsonl, openai or parquet [default: by OUTPUT].")
]
_InputFormat = Annotated[
    str | None, typer.Option(help="jsonl, csv, tsv, parquet or txt [default: by INPUT].")
]
_Via = Annotated[
    str,
    typer.Option(
        metavar="local|provider",
        help="Who asks the rows: this process, or the provider's own batches, for less.",
    ),
]
_Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where the model answers: in this process, or in replicas on a Ray cluster."),
]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end of the provider's batches.")]
_Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Of report: its file [default: OUTPUT's name, .report.html]."),
]


@app.command("batch")
@handled
def batch(
    ctx: typer.Context,
    paths: _Input,
    model: _Model = "smollm2",
    prompt: _Prompt = None,
    system: System = None,
    schema: _Schema = None,
    tools: _Tools = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    stop: Stop = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The column of a row's id.")] = None,
    concurrency: _Concurrency = "auto",
    rate: _Rate = None,
    token_rate: _TokenRate = None,
    budget: _Budget = None,
    max_retries: _MaxRetries = 5,
    timeout: _Timeout = 600.0,
    retry_failed: _RetryFailed = False,
    fresh: _Fresh = False,
    limit: _Limit = None,
    sample: _Sample = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
    ordered: _Ordered = False,
    form: _Format = None,
    input_format: _InputFormat = None,
    via: _Via = "local",
    wait: _Wait = False,
    engine: _Engine = "local",
    replicas: Replicas = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    ongoing: AtOnce = None,
    ray_address: RayAddress = None,
    out: _Out = None,
) -> int:
    """Answer rows by the million; what is done is kept, and the same command goes on from there."""
    if len(paths) < 2:  # noqa: PLR2004  an input and an output
        typer.echo("chatwright: it is: chatwright batch INPUT… OUTPUT", err=True)
        return 2
    if paths[0] == _REPORT:
        return _reported(paths[1:], out)
    if out is not None:
        raise ParameterError("-o is for chatwright batch report; the last path is the output")
    import_from_here()
    run = _prepared(**ctx.params)
    if dry_run:
        return _dry(run)
    if sample is not None and not _sampled(run, sample, asks=not yes):
        return 0
    return _ran(run)


_REPORT = "report"


def _reported(outputs: Sequence[str], out: Path | None) -> int:
    """Write a batch's report, and say where it stands."""
    from chatwright.run.batch.figures import figures_of  # noqa: PLC0415  an extra
    from chatwright.run.batch.report import as_html  # noqa: PLC0415  likewise

    if len(outputs) != 1:
        raise ParameterError("report is for one OUTPUT; a file that is called so is ./report")
    output = Path(outputs[0])
    stem = output.name.removesuffix(".jsonl").removesuffix(".parquet")
    path = out or output.with_name(f"{stem}.report.html")
    path.write_text(as_html(figures_of(output)), "utf-8")
    typer.echo(path)
    return 0


_AS_THEY_ARE = (
    *("id_column", "input_format", "form", "budget", "max_retries", "timeout", "retry_failed"),
    *("fresh", "limit", "ordered", "via", "wait"),
)
_OF_A_CALL = ("temperature", "max_tokens", "stop")


def _prepared(paths: Sequence[str], model: str, **given: Any) -> "Run":
    """Return the run that the options ask for."""
    from chatwright.batch import prepared  # noqa: PLC0415  slow to import

    *inputs, output = paths
    names = ("engine", "replicas", "cpus", "gpus", "ongoing", "ray_address")
    on_ray = OnRay(*(given[name] for name in names))
    on_ray.tell()
    return prepared(
        model,
        inputs if len(inputs) > 1 else inputs[0],
        output,
        prompt=_text(given["prompt"]),
        system=_text(given["system"]),
        schema=_json(given["schema"]),
        tools=_json(given["tools"]) or (),
        parameters={name: given[name] for name in _OF_A_CALL if given[name] not in (None, ())},
        concurrency=_count(given["concurrency"]),
        rate=_a_minute(given["rate"], "--rate"),
        token_rate=_a_minute(given["token_rate"], "--token-rate"),
        engine=given["engine"],
        scale=on_ray.scale if on_ray.is_on else None,
        address=on_ray.address,
        **{name: given[name] for name in _AS_THEY_ARE},
    )


def _text(given: str | None) -> str | None:
    """Return a text, or what stands in the file that it names: `@FILE`."""
    if given is None or not given.startswith("@"):
        return given
    return Path(given[1:]).read_text("utf-8")


def _json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ParameterError(f"{path} holds no JSON: {error}") from None


def _count(given: str) -> int | None:
    if given == "auto":
        return None
    if given.isdecimal() and int(given) > 0:
        return int(given)
    raise ParameterError(f"--concurrency can be auto or a number, not {given!r}")


def _a_minute(given: str | None, option: str) -> float | None:
    """Return a rate a minute: `600`, `600/min`, `10/s`."""
    if given is None:
        return None
    found = re.fullmatch(r"([0-9.]+)\s*(?:/\s*(s|sec|min|h))?", given)
    if not found or not float(found[1]):
        raise ParameterError(f"{option} can be 600, 600/min, 10/s or 5000/h, not {given!r}")
    return float(found[1]) * {"s": 60, "sec": 60, "h": 1 / 60}.get(found[2], 1)


def _dry(run: "Run") -> int:
    """Read all rows, and ask nothing."""
    from chatwright.run.batch.preview import preview  # noqa: PLC0415  slow to import

    seen = preview(run)
    typer.echo("\n".join(seen.lines()))
    return 1 if seen.unread else 0


def _sampled(run: "Run", rows: int, *, asks: bool) -> bool:
    """Ask some rows, say what the whole may take, and tell whether to go on."""
    from chatwright.run.batch.preview import estimate  # noqa: PLC0415  slow to import

    if not run.source.again:
        raise ParameterError(f"--sample reads {run.source.name} twice, which can be read once only")
    options = dataclasses.replace(run.options, limit=rows, wait=False)
    first = dataclasses.replace(run, options=options, provider=None)  # so that it is there at once
    _ran(first)
    typer.echo(estimate(run, first.stats).line(), err=True)
    run.options = dataclasses.replace(run.options, fresh=False)
    if not asks:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        typer.echo("nobody is here to ask: --yes goes on", err=True)
        return False
    return typer.confirm("Go on?", default=True, err=True)


def _ran(run: "Run") -> int:
    """Run it, with a display, until the end or until it is interrupted."""
    from chatwright.cli.batch_display import display, end  # noqa: PLC0415  slow to import

    with display(run):
        summary = run.run_alone(functools.partial(_interruptible, run), is_ours=True)
    end(summary)
    if summary.stopped == _INTERRUPTED:
        return 130
    if summary.out and not summary.stopped:
        return _COME_BACK
    return 1 if summary.failed or summary.stopped else 0


_COME_BACK = 75
"""EX_TEMPFAIL of sysexits.h: the same command does it later."""
_INTERRUPTED = "interrupted"


async def _interruptible(run: "Run") -> "Summary":
    """Run it: one interrupt lets what is being asked end, a second one does not."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(run.run())
    with _interrupted_by(loop, run, task):
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


@contextlib.contextmanager
def _interrupted_by(
    loop: asyncio.AbstractEventLoop, run: "Run", task: "asyncio.Task[Summary]"
) -> Iterator[None]:
    def interrupt() -> None:
        if run.is_stopping:
            task.cancel()
        else:
            typer.echo(
                "chatwright: what is being asked may end; interrupt again to leave now", err=True
            )
            run.stop(_INTERRUPTED)

    signals = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError):  # Windows has none
        for each in signals:
            loop.add_signal_handler(each, interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for each in signals:
                loop.remove_signal_handler(each)
