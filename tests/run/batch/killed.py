"""Runs batches that are killed at random times and resumed: killed.py FOLDER KILLS SEED."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from chatwright import chat_model
from chatwright.batch import run_batch
from chatwright.run.batch.parts import Parts

ROWS = 2000
AT_ONCE = 16
Parts.__init__.__defaults__ = (150,)  # so that kills find parts being made


@chat_model
async def model(messages):
    text = messages[-1].text
    number = int(text.split()[-1])
    if number % 97 == 0:
        raise ValueError(f"{number} is none of mine")
    await asyncio.sleep(0.002)
    with Path("asked").open("a") as asked:
        asked.write(f"{number}\n")
    return f"{number * number}"


def child(form, output):
    rows = ({"id": f"r{n}", "prompt": f"square {n}"} for n in range(ROWS))
    run_batch(model, rows, output, form=form, concurrency=AT_ONCE)


def killed(form, output, kills):
    """Run to the end, or to the last kill; return how many there were."""
    done = 0
    while True:
        pid = os.fork()
        if not pid:
            try:
                child(form, output)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if done < kills:
            time.sleep(random.uniform(0.0, 0.5))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return done
        done += 1


def results(form, output):
    if form == "parquet":
        import pyarrow.parquet as pq

        for part in sorted(output.glob("part-*.parquet")):
            yield from pq.read_table(part).to_pylist()
        assert sorted(each.suffix for each in output.iterdir()) == [".parquet"] * len(
            [*output.glob("part-*.parquet")]
        )
        return
    yield from map(json.loads, output.read_bytes().splitlines())


def verified(form, output):
    found = [*results(form, output)]
    if form == "openai":
        told = {
            each["custom_id"]: each["response"]["body"]["choices"][0]["message"]["content"]
            for each in found
        }
    else:
        told = {each["id"]: each["text"] for each in found}
    right = {f"r{n}": f"{n * n}" for n in range(ROWS) if n % 97}
    assert len(found) == len(told), "an id stands there twice"
    assert told == right
    failures = output.with_name(f"{output.stem}.failures.jsonl").read_bytes().splitlines()
    names = [each.get("custom_id") or each["id"] for each in map(json.loads, failures)]
    assert sorted(names) == sorted(f"r{n}" for n in range(0, ROWS, 97))


def main(folder, kills, seed):
    random.seed(seed)
    os.chdir(folder)
    done = jobs = 0
    while done < kills:
        form = ("jsonl", "openai", "parquet")[jobs % 3]
        output = Path(f"out-{jobs}.{'parquet' if form == 'parquet' else 'jsonl'}")
        done += killed(form, output, kills - done)
        verified(form, output)
        jobs += 1
    asked = len(Path("asked").read_text().splitlines())
    print(json.dumps({"kills": done, "jobs": jobs, "rows": jobs * ROWS, "asked": asked}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
