"""`run_batch`: a chat model of any make answers rows by the million, and nothing is lost."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from chatwright.errors import BatchError, MissingExtraError, ParameterError
from chatwright.langchain.model import ChatModel
from chatwright.langchain.schemas import target_of
from chatwright.langchain.tools import as_tools
from chatwright.run.scale import Scale
from chatwright.wrap.endpoint.batches import batches_of
from chatwright.wrap.function import chat_model
from chatwright.wrap.load import load
from chatwright.wrap.replica import replica

if TYPE_CHECKING:
    from chatwright.run.batch.on_ray import OnRay
    from chatwright.run.batch.provider import Provider
    from chatwright.run.batch.running import Run, Summary
    from chatwright.run.batch.stats import Stats

__all__ = ["BatchOptions", "arun_batch", "prepared", "run_batch"]


class BatchOptions(TypedDict, total=False):
    """How rows are asked, and what becomes of the answers.

    Attributes:
        prompt: A text with columns in braces: `"Translate: {text}"`. Default None: a row's
            `messages`, its `body` (as in OpenAI's batch files), its `prompt`, or its only column.
        system: The system message of each row that has none.
        schema: What answers have to conform to: a JSON schema, a Pydantic class or a TypedDict.
        tools: Tools that the model may call, as `bind_tools` takes them.
        parameters: Parameters of every call, such as `temperature` and `stop`; a row's own come
            first.
        id_column: The column that holds a row's id. Default None: `custom_id`, or `id`.
        input_format: The input's: `jsonl`, `csv`, `tsv`, `parquet` or `txt`. Default None: by its
            name.
        form: The output's: `jsonl`, `openai` (as OpenAI's batches have it) or `parquet`. Default
            None: by its name.
        concurrency: How many rows are asked at once. Default None: as many as pays.
        rate: Requests a minute. Default None: any number.
        token_rate: Tokens a minute, asked and answered. Default None: any number.
        budget: What all answers together may cost, in USD; it is set aside before a row is asked,
            so that rows that are asked together can't overrun it. Default None: any amount.
        max_retries: How often a row is asked again that may go well another time. Default 5.
        timeout: How many seconds one answer may take. Default 600.
        retry_failed: Whether rows that failed in an earlier run are asked again. Default False.
        fresh: Whether to start anew, without what an earlier run left. Default False.
        limit: How many rows are read at most. Default None: all.
        ordered: Whether the output is put into the input's order at the end. Default False.
        via: `provider` to have the provider's own batches ask the rows, at their price: a call
            hands them in, the same call collects them later. Default: `local`, they are asked here.
        engine: Where the model answers: `local`, in this process, or `ray`, in replicas on a Ray
            cluster, which are given rows in blocks. Default `local`.
        scale: With `ray`: how many replicas there are, what each needs (`cpus`, `gpus`), how many
            rows each is asked at once (`ongoing`), to how many of them a row is given that are
            lost (`attempts`), after how long idle ones end (`down_seconds`), and how long the
            cluster may take to give a place (`place_seconds`). Default: `Scale()`, one replica.
        address: With `ray`: a cluster that is there, as HOST:PORT. Default None: that of
            `RAY_ADDRESS`; else Ray is started here, on loopback, and ends with the run.
        wait: Whether to wait for the end of the provider's batches. Default False.
        watch: Is called four times a second with how far the run has come.
    """

    prompt: str | None
    system: str | None
    schema: Any
    tools: Sequence[Any]
    parameters: Mapping[str, Any]
    id_column: str | None
    input_format: str | None
    form: Literal["jsonl", "openai", "parquet"] | None
    concurrency: int | None
    rate: float | None
    token_rate: float | None
    budget: float | None
    max_retries: int
    timeout: float
    retry_failed: bool
    fresh: bool
    limit: int | None
    ordered: bool
    via: Literal["local", "provider"]
    engine: Literal["local", "ray"]
    scale: Scale | None
    address: str | None
    wait: bool
    watch: "Callable[[Stats], None] | None"


def run_batch(
    model: Any, rows: Any, output: str | Path, **options: Unpack[BatchOptions]
) -> "Summary":
    """Answer rows by the million: what is done is on the disk, and is never asked again.

    Args:
        model: Whatever `chat_model` takes, or a string for `load`. An agent works too: a row is
            its messages.
        rows: A path, a glob, a URL of fsspec's, or a list of those (JSONL, CSV, Parquet, also
            compressed); an iterable of texts, of lists of messages or of dicts of columns; or an
            Arrow stream: a table of pandas', polars' or pyarrow's.
        output: Where answers go: a path that ends in `.jsonl`, or in `.parquet` for a folder of
            parts. Rows that failed, a manifest and a lock stand beside it.
        **options: As `BatchOptions` has them.

    Returns:
        What came of it: where answers and failures stand, and how many.

    Raises:
        BatchError: It can't be run, or can't go on: another run writes to the output; it is another
            job's; the endpoint lets nobody in; the disk is full. What is done is kept, and the same
            call goes on from there. Or a loop runs here: `arun_batch` is for that.
        ClusterError: There is no Ray cluster at the address, it can't give what is needed, or the
            model can't be loaded there. What is done is kept, likewise.
        LoadError: The model or the rows can't be read.
        MissingExtraError: The extra `batch`, or `ray`, is not installed.
        ParameterError: An option that there is not, or a value that it does not take.
        SchemaError: The schema is none.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run = prepared(model, rows, output, **options)
        return run.run_alone(run.run)
    raise BatchError("a loop runs here, as in a notebook: await arun_batch(…) instead")


async def arun_batch(
    model: Any, rows: Any, output: str | Path, **options: Unpack[BatchOptions]
) -> "Summary":
    """Answer rows on the loop that runs here; `run_batch` tells of arguments and errors.

    A model without async code answers in the loop's threads, of which asyncio makes at most 32:
    `loop.set_default_executor` gives it more.
    """
    return await prepared(model, rows, output, **options).run()


def prepared(model: Any, rows: Any, output: str | Path, **options: Unpack[BatchOptions]) -> "Run":
    """Return a run that has not begun; `run_batch` tells of arguments and errors."""
    try:
        from chatwright.run.batch.inputs import source_of  # noqa: PLC0415  an extra
        from chatwright.run.batch.results import FORMATS  # noqa: PLC0415  likewise
        from chatwright.run.batch.row import Job  # noqa: PLC0415  likewise
        from chatwright.run.batch.running import Options, Run  # noqa: PLC0415  likewise
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "batch") from error
    known = BatchOptions.__annotations__
    if unknown := sorted(options.keys() - known.keys()):
        raise ParameterError(f"there is no option {unknown[0]!r}; there are {', '.join(known)}")
    given: dict[str, Any] = {**options}
    path, named = Path(output), given.pop("form", None)
    form = named or ("parquet" if path.suffix == ".parquet" else "jsonl")
    if form not in FORMATS:
        raise ParameterError(f"form can be {', '.join(FORMATS)}, not {form!r}")
    made = load(model) if isinstance(model, str) else chat_model(model)
    schema = given.pop("schema", None)
    job = Job(
        model=made,
        name=model if isinstance(model, str) else made.model_name,
        prompt=given.pop("prompt", None),
        system=given.pop("system", None),
        response_format=None if schema is None else _format_of(schema),
        tools=as_tools(given.pop("tools", ())),
        parameters=given.pop("parameters", None) or {},
        id_column=given.pop("id_column", None),
    )
    source = source_of(rows, format=given.pop("input_format", None))
    watch = given.pop("watch", None)
    provider, on_ray = _provider(made, given), _on_ray(model, made, given)
    how = Options(form=form, **given)
    return Run(job, source, path, how, watch, provider=provider, on_ray=on_ray)


def _provider(model: ChatModel, given: dict[str, Any]) -> "Provider | None":
    """Return whose batches ask the rows; None for none's."""
    via = given.pop("via", "local")
    if via not in {"local", "provider"}:
        raise ParameterError(f"via can be local or provider, not {via!r}")
    if via == "local":
        return None
    names = ("concurrency", "rate", "token_rate", "scale", "address")
    if paced := [each for each in names if given.get(each) is not None]:
        raise ParameterError(f"{paced[0]} is for rows that are asked here; leave it out")
    if given.get("engine", "local") != "local":
        raise ParameterError("engine is for rows that are asked here; via='provider' has none")
    return batches_of(model)


def _on_ray(model: Any, made: ChatModel, given: dict[str, Any]) -> "OnRay | None":
    """Return the replicas that rows are asked in; None for this process."""
    from chatwright.run.batch.on_ray import OnRay  # noqa: PLC0415  an extra

    engine, scale = given.pop("engine", "local"), given.pop("scale", None)
    address = given.pop("address", None)
    if engine not in {"local", "ray"}:
        raise ParameterError(f"engine can be local or ray, not {engine!r}")
    if engine == "local":
        for name, each in (("scale", scale), ("address", address)):
            if each is not None:
                raise ParameterError(f"{name} goes with engine='ray'")
        return None
    address = address or os.environ.get("RAY_ADDRESS")
    is_loaded = isinstance(model, str)
    return OnRay(
        make=partial(replica, model if is_loaded else made),
        is_loaded=is_loaded,
        scale=scale or Scale(),
        address=None if address == "local" else address,
    )


def _format_of(schema: Any) -> Mapping[str, Any]:
    """Return what answers conform to; a JSON schema needs no title here."""
    if isinstance(schema, Mapping) and not {"title", "name", "json_schema"} & schema.keys():
        schema = {"title": "answer", **schema}
    return target_of(schema).response_format()
