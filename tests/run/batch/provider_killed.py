"""Hands rows to a provider's batches, is killed at each tender moment, and goes on.

provider_killed.py FOLDER WIRE STEP MOMENT…: with STEP 1 every moment has its kill, with 3 every
third, with 0 only the making of a batch. A moment is a request that is `lost` or `cut`, or a call
of os: `fsync`, `replace`, `unlink`.
"""

import dataclasses
import itertools
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

from chatwright.batch import run_batch
from chatwright.wires import batches
from chatwright.wrap.endpoint import batches as ours
from run.batch.providers import KEY, Provider

MADE = {"openai": 2, "anthropic": 1}
"""The number of the request that makes a batch."""
ROWS = [{"id": f"r{n}", "prompt": f"p{n}"} for n in range(5)]
os.environ["CHATWRIGHT_API_KEY"] = KEY


def small(wire):
    """Have batches of two rows, so that several go out."""
    form = dataclasses.replace(batches.BATCHES[wire], rows=2)
    ours.BATCHES = batches.BATCHES | {wire: form}


def counted(at, name):
    """Have the n-th call of a function of `os` kill this process before it is made."""
    numbers, function = itertools.count(), getattr(os, name)

    def call(*args, **kwargs):
        if next(numbers) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(os, name, call)


def child(url, out, moment=None):
    """Run once in a process of its own; return whether it lived, and how many rows are out."""
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            where, at = moment or ("", 0)
            if where in {"lost", "cut"}:
                control(url, kill=[os.getpid(), at, where])
            elif where:
                counted(at, where)
            summary = run_batch(url, ROWS, out, via="provider")
            os.write(tell, b"%d" % summary.out)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(tell)
    with os.fdopen(told) as pipe:
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return False, None
        assert os.WEXITSTATUS(status) == 0
        return True, int(pipe.read())


def control(url, **told):
    address = f"{url.partition('/v1')[0]}/control"
    request = urllib.request.Request(address, json.dumps(told).encode(), method="POST")
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read())


def served(wire):
    """Start a provider in a process of its own."""
    provider = Provider(wire)
    pid = os.fork()
    if not pid:
        provider.serve()
        os._exit(0)
    provider._server.server_close()
    return provider.url, pid


def ended(url, out):
    for _ in range(20):
        _, left = child(url, out)
        if not left:
            break
        time.sleep(0.01)
    read = [json.loads(each) for each in out.read_bytes().splitlines()]
    assert sorted((each["id"], each["text"]) for each in read) == sorted(
        (each["id"], each["prompt"].upper()) for each in ROWS
    )
    assert control(url)["asked"] == {each["prompt"]: 1 for each in ROWS}
    assert not [*out.parent.glob(f"{out.stem}.batches")]


def scenario(wire, out, run, moment):
    """Kill one of several runs at one moment, and go on; tell whether there was that moment."""
    url, pid = served(wire)
    try:
        for _ in range(run):
            _, left = child(url, out)
            if not left:
                return None
        lived, _ = child(url, out, moment)
        control(url, kill=None)
        ended(url, out)
        return not lived
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def main(folder, wire, step, moments):
    small(wire)
    told = {}
    if not step:
        for where in moments:
            told[where] = int(scenario(wire, folder / f"{where}.jsonl", 0, (where, MADE[wire])))
        moments = ()
    for where in moments:
        for run in itertools.count():
            for at in itertools.count(0, step):
                out = folder / f"{where}-{run}-{at}.jsonl"
                killed = scenario(wire, out, run, (where, at))
                if not killed:
                    break
                told[where] = told.get(where, 0) + 1
            if killed is None:
                break
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
