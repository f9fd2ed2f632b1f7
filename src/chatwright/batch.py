"""`run_batch`: a chat model of any make answers rows by the million, and nothing is lost."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.errors import BatchError, MissingExtraError
from chatwright.wrap.function import chat_model
from chatwright.wrap.load import load

if TYPE_CHECKING:
    from chatwright.run.batch.running import Run, Stats, Summary

__all__ = ["arun_batch", "run_batch"]


async def arun_batch(
    model: Any,
    rows: Any,
    output: str | Path,
    *,
    prompt: str | None = None,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    parameters: Mapping[str, Any] | None = None,
    id_column: str | None = None,
    watch: "Callable[[Stats], None] | None" = None,
    **options: Any,
) -> "Summary":
    """Answer rows, as `run_batch` does, on the loop that runs here.

    A model that answers in threads only, for it has no async code, is asked by as many at once as
    the loop has threads: `loop.set_default_executor` gives it more.
    """
    run = prepared(
        model,
        rows,
        output,
        prompt=prompt,
        system=system,
        schema=schema,
        tools=tools,
        parameters=parameters,
        id_column=id_column,
        watch=watch,
        **options,
    )
    return await run.run()


def run_batch(model: Any, rows: Any, output: str | Path, **told: Any) -> "Summary":
    """Answer rows by the million: what is done is on the disk, and is never asked again.

    Args:
        model: Whatever `chat_model` takes, or a string for `load`. An agent works too: a row is
            its messages.
        rows: A path, a glob or a list of those (JSONL, CSV, Parquet, also compressed, also by
            fsspec's URLs); an iterable of texts, of lists of messages or of dicts of columns; or
            an Arrow stream: a table of pandas', polars' or pyarrow's.
        output: Where answers go: a path that ends in `.jsonl`, or in `.parquet` for a folder of
            parts. Rows that failed, a manifest and a lock stand beside it.
        prompt: A text with columns in braces: `"Translate: {text}"`. Default None: a row's
            `messages`, its `body` (as in OpenAI's batch files), its `prompt`, or its only column.
        system: The system message of each row that has none.
        schema: What answers have to conform to: a JSON schema, a Pydantic class or a TypedDict.
        tools: Tools that the model may call, as `bind_tools` takes them.
        parameters: Parameters of every call, such as `temperature` and `stop`.
        id_column: The column that holds a row's id. Default None: `custom_id`, or `id`.
        watch: Is called four times a second with how far the run has come, a `Stats`.
        form: The output's format: `jsonl`, `openai` (as OpenAI's batches have it) or `parquet`.
            Default None: by the output's name.
        concurrency: How many rows are asked at once. Default None: as many as pays.
        rate: Requests a minute. Default None: any number.
        token_rate: Tokens a minute, asked and answered. Default None: any number.
        budget: What all answers together may cost, in USD. Default None: any amount.
        max_retries: How often a row is asked again that may go well another time. Default 5.
        timeout: How many seconds one answer may take. Default 600.
        retry_failed: Whether rows that failed in an earlier run are asked again. Default False.
        fresh: Whether to start anew, without what an earlier run left. Default False.
        limit: How many rows are read at most. Default None: all.
        ordered: Whether the output is put into the input's order at the end. Default False.

    Returns:
        What came of it: where answers and failures stand, and how many.

    Raises:
        BatchError: It can't be run, or can't go on: another run writes to the output; it is another
            job's; the endpoint lets nobody in; the disk is full. What is done is kept, and the same
            call goes on from there.
        LoadError: The model or the rows can't be read.
        MissingExtraError: The extra `batch` is not installed.
        ParameterError: An option that there is not, or a value that it does not take.
        SchemaError: The schema is none.
    """

    async def run() -> "Summary":
        from chatwright.run.batch.local import threads  # noqa: PLC0415  an extra

        made = prepared(model, rows, output, **told)
        most = made.options.concurrency or 512
        asyncio.get_running_loop().set_default_executor(threads(most))
        return await made.run()

    return _run(run())


def _run(work: "Coroutine[Any, Any, Summary]") -> "Summary":
    """Run a coroutine to its end, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise BatchError("a loop runs here: await arun_batch(…) instead")


def prepared(
    model: Any,
    rows: Any,
    output: str | Path,
    *,
    prompt: str | None = None,
    system: str | None = None,
    schema: Any = None,
    tools: Sequence[Any] = (),
    parameters: Mapping[str, Any] | None = None,
    id_column: str | None = None,
    watch: "Callable[[Stats], None] | None" = None,
    form: str | None = None,
    input_format: str | None = None,
    **options: Any,
) -> "Run":
    """Return a run that has not begun; `run_batch` tells of the arguments and the errors."""
    try:
        from chatwright.run.batch.inputs import source_of  # noqa: PLC0415  an extra
        from chatwright.run.batch.results import FORMATS  # noqa: PLC0415  likewise
        from chatwright.run.batch.row import Job  # noqa: PLC0415  likewise
        from chatwright.run.batch.running import Options, Run  # noqa: PLC0415  likewise
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "batch") from error
    from chatwright.errors import ParameterError  # noqa: PLC0415

    path = Path(output)
    form = form or ("parquet" if path.suffix in {".parquet", ".pq"} else "jsonl")
    if form not in FORMATS:
        raise ParameterError(f"form can be {', '.join(FORMATS)}, not {form!r}")
    made = load(model) if isinstance(model, str) else chat_model(model)
    job = Job(
        model=made,
        name=model if isinstance(model, str) else made.model_name,
        prompt=prompt,
        system=system,
        schema=schema,
        tools=tools,
        parameters=parameters or {},
        id_column=id_column,
    )
    return Run(job, source_of(rows, format=input_format), path, Options(form=form, **options), watch)  # type: ignore[arg-type]


