"""Models that answer rows in replicas on a Ray cluster in tests, and the run as a process."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from chatwright import ChatwrightError, RateLimitError, Scale, Usage, chat_model, run_batch
from chatwright.run.batch import on_ray
from run.on_ray import environment
from waiting import PATIENCE, soon

MODELS = "run.batch.on_ray"
SECONDS = 0.02
"""How long an answer takes."""


@chat_model
async def squares(messages):
    """Answers `square N` with the square and the number of its process; some rows fail."""
    number = int(messages[-1].text.split()[-1])
    if number % 97 == 0:
        raise ValueError(f"{number} is none of mine")
    await asyncio.sleep(SECONDS)
    with Path("asked").open("a") as asked:
        asked.write(f"{number}\n")
    return f"{number * number} {os.getpid()}"


@chat_model
async def deadly(messages):
    """Answers likewise; some rows are its process's end."""
    number = int(messages[-1].text.split()[-1])
    await asyncio.sleep(SECONDS)
    if number % 400 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{number * number} {os.getpid()}"


@chat_model
async def busy(messages):
    """Says now and then that it has too much to do."""
    number = int(messages[-1].text.split()[-1])
    mark = Path(f"busy.{number}")
    if number % 10 == 0 and not mark.exists():
        mark.touch()
        error = RateLimitError("slower, please")
        error.retry_after = 0.01
        raise error
    return f"{number * number} {os.getpid()}"


@chat_model(price=(50_000, 50_000))
def blocking(messages):
    """Has no async code; each answer costs a dollar."""
    time.sleep(SECONDS)
    number = int(messages[-1].text.split()[-1])
    yield f"{number * number} {os.getpid()}"
    yield Usage(input_tokens=10, output_tokens=10)


@chat_model
async def endless(messages):
    """Never answers."""
    Path("asked").touch()
    await asyncio.sleep(3600)
    yield "late"


other = chat_model(lambda messages: "x").model_copy(update={"model_name": f"m-{os.getpid()}"})
"""A model that is another one in each process."""


class Batch:
    """A run of `chatwright batch --engine ray` in a folder of its own."""

    def __init__(self, folder, rows, address=None):
        self.folder = folder
        self.output = folder / "out.jsonl"
        self.rows = folder / "rows.jsonl"
        self.address = address
        lines = ({"id": f"r{n}", "prompt": f"square {n}"} for n in range(rows))
        self.rows.write_text("".join(json.dumps(each) + "\n" for each in lines))

    def command(self, model, *arguments):
        at = ["--ray-address", self.address] if self.address else []
        command = [sys.executable, "-m", "chatwright", "batch", "rows.jsonl", "out.jsonl"]
        return [*command, "-m", model, "--engine", "ray", *at, *arguments]

    def running(self, model, *arguments):
        """Yield the process of a run, whose words go to a file."""
        named = model if model == "smollm2" or "/" in model else f"{MODELS}:{model}"
        return self._running(self.command(named, *arguments))

    def running_with(self, model, options=None, **fields):
        """Yield the process of one with fields of `Scale`, and options of `run_batch`."""
        told = (model, json.dumps(fields), json.dumps(options or {}))
        return self._running([sys.executable, __file__, self.address, *told])

    @contextlib.contextmanager
    def _running(self, command):
        with (
            (self.folder / "told").open("w") as told,
            subprocess.Popen(command, cwd=self.folder, stderr=told, env=environment()) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    @property
    def told(self):
        return (self.folder / "told").read_text()

    def ran(self, model, *arguments):
        """Return the exit code of a run."""
        with self.running(model, *arguments) as process:
            return process.wait(5 * PATIENCE)

    def has(self, count):
        """Wait until so many answers are on the disk; return whether they are."""
        return soon(lambda: self.output.exists() and len(self.lines()) >= count, 2 * PATIENCE)

    def lines(self):
        return self.output.read_bytes().splitlines()

    def answers(self):
        """Return the answers by their ids, each of which is there once."""
        read = [json.loads(each) for each in self.lines()]
        found = {each["id"]: each["text"] for each in read}
        assert len(found) == len(read), "an id stands there twice"
        return found

    def failures(self):
        lines = (self.folder / "out.failures.jsonl").read_bytes().splitlines()
        found = {each["id"]: each["error"]["type"] for each in map(json.loads, lines)}
        assert len(found) == len(lines), "an id stands there twice"
        return found


def main(address, model, fields, options):
    """Run a batch with what the command line has no option for; say why it can't be."""
    on_ray._GRACE_SECONDS = 2.0
    how = {"engine": "ray", "scale": Scale(**json.loads(fields)), "address": address}
    try:
        run_batch(globals()[model], "rows.jsonl", "out.jsonl", **how, **json.loads(options))
    except ChatwrightError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
