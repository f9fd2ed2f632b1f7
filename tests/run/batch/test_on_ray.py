"""Batches on a Ray cluster: a head, and two workers with two CPUs each."""

import json
import os
import signal

import pytest

from run.on_ray import cluster
from run.serve.conftest import serving  # noqa: F401  a fixture
from waiting import soon

from .on_ray import Batch, squares

pytest.importorskip("ray")
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ROWS = 1000
FAILING = {f"r{n}" for n in range(0, ROWS, 97)}
TWO = ("--replicas", "2", "--ongoing", "8")


@pytest.fixture(scope="module")
def ray():
    with cluster() as made:
        yield made


@pytest.fixture
def batch(ray, tmp_path):
    return Batch(tmp_path, ROWS, ray.address)


def right(batch, failing=FAILING, rows=ROWS):
    """Check that each answer is there once, and right; return the processes that answered."""
    told = {name: each.split() for name, each in batch.answers().items()}
    wanted = {f"r{n}": f"{n * n}" for n in range(rows) if f"r{n}" not in failing}
    assert {name: square for name, (square, _) in told.items()} == wanted
    return {int(pid) for _, pid in told.values()}


def test_each_row_has_its_answer_and_those_that_fail_say_why(batch, ray):
    assert batch.ran("squares", *TWO, "--cpus", "0.5") == 1
    needs = "2 replicas of run.batch.on_ray:squares, with 0.5 CPUs each; the cluster has 4 CPUs"
    assert needs in batch.told
    assert len(right(batch)) == 2
    assert batch.failures() == dict.fromkeys(FAILING, "ValueError")
    manifest = json.loads((batch.folder / "out.manifest.json").read_text())
    assert manifest["runs"][0]["outcome"] == "done"
    assert soon(lambda: not ray.actors())


def test_what_is_done_here_is_done_there(batch):
    local = batch.command("run.batch.on_ray:squares", "--limit", "300")
    local[local.index("ray")] = "local"
    at = local.index("--ray-address")
    with batch._running([*local[:at], *local[at + 2 :]]) as process:
        assert process.wait(120) == 1
    assert batch.ran("squares", *TWO) == 1
    assert "300 rows were done before" in batch.told
    assert len(right(batch)) == 3


@pytest.mark.parametrize("source", ["function", "endpoint"])
def test_a_killed_replica_costs_nothing(batch, ray, serving, monkeypatch, source):  # noqa: F811
    model = "squares"
    if source == "endpoint":
        monkeypatch.chdir(batch.folder)
        model = f"{serving({'squares': squares}).url}/v1#squares"
    with batch.running(model, *TWO, "--max-retries", "0") as process:
        for answers in (100, 300, 500):
            assert batch.has(answers)
            os.kill(ray.actors()[0], signal.SIGKILL)
        assert process.wait(120) == 1
    assert batch.told.count("a replica") >= 3
    right(batch)
    assert batch.failures().keys() == FAILING


def test_weights_in_replicas_of_which_one_is_killed(ray, tmp_path):
    batch = Batch(tmp_path, 64, ray.address)
    with batch.running("smollm2", *TWO, "--max-tokens", "12") as process:
        assert batch.has(8)
        os.kill(ray.actors()[0], signal.SIGKILL)
        assert process.wait(300) == 0
    assert batch.answers().keys() == {f"r{n}" for n in range(64)}
    assert all(batch.answers().values())
    for each in map(json.loads, batch.lines()):
        assert 0 < each["usage"]["output_tokens"] <= 12


def test_a_worker_that_dies_costs_nothing(batch, ray):
    with batch.running("squares", *TWO, "--cpus", "2") as process:  # one on each worker
        assert batch.has(100)
        ray.kill_a_worker()
        try:
            assert batch.has(400)
        finally:
            ray.add_a_worker()
        assert process.wait(120) == 1
    right(batch)
    assert batch.failures().keys() == FAILING


def test_a_killed_run_is_resumed_and_leaves_no_replica(batch, ray):
    for answers in (50, 250, 600):
        with batch.running("squares", *TWO) as process:
            assert batch.has(answers)
            process.kill()
        assert soon(lambda: not ray.actors())
    assert batch.ran("squares", *TWO) == 1
    assert "rows were done before" in batch.told
    right(batch)
    assert batch.failures().keys() == FAILING
    asked = (batch.folder / "asked").read_text().split()
    assert len(asked) <= ROWS + 3 * 16 + 256 * 3  # in flight, and not yet on the disk


def test_a_row_that_kills_replicas_fails_alone(batch):
    assert batch.ran("deadly", *TWO) == 1
    deadly = {f"r{n}" for n in range(7, ROWS, 400)}
    assert batch.failures() == dict.fromkeys(deadly, "ReplicaLost")
    right(batch, deadly)


def test_a_replica_that_says_nothing_any_more_is_replaced(batch, ray):
    fields = {"least": 2, "most": 2, "ongoing": 8}
    with batch.running_with("squares", {"timeout": 1.0}, **fields) as process:
        assert batch.has(100)
        os.kill(ray.actors()[0], signal.SIGSTOP)
        assert process.wait(120) == 0, batch.told
    right(batch)


def test_an_interrupt_lets_what_is_asked_end(batch, ray):
    with batch.running("squares", *TWO) as process:
        assert batch.has(100)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "stopped: interrupted" in batch.told
    asked = (batch.folder / "asked").read_text().split()
    answers, failures = batch.answers(), batch.failures()
    assert sorted(map(int, asked)) == sorted(int(each[1:]) for each in answers)
    assert len(answers) + len(failures) < ROWS
    assert soon(lambda: not ray.actors())
    assert batch.ran("squares", *TWO) == 1
    right(batch)
    assert len((batch.folder / "asked").read_text().split()) == ROWS - len(FAILING)


def test_a_second_interrupt_ends_it_now(ray, tmp_path):
    batch = Batch(tmp_path, 8, ray.address)
    with batch.running("endless", *TWO) as process:
        assert soon(lambda: (tmp_path / "asked").exists())
        process.send_signal(signal.SIGINT)
        assert soon(lambda: "may end" in batch.told)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert soon(lambda: not ray.actors())


def test_replicas_are_as_many_as_there_is_work_and_room_for(batch, ray):
    fields = {"least": 1, "most": 6, "ongoing": 4, "cpus": 1, "down_seconds": 0.1}
    with batch.running_with("squares", {"concurrency": 8}, **fields) as process:
        assert soon(lambda: len(ray.actors()) == 2)
        assert process.wait(120) == 0
    assert len(right(batch)) == 2
    with batch.running_with("squares", {"fresh": True}, **fields) as process:
        assert process.wait(120) == 0
    assert len(right(batch)) == 4
    assert "of 6 replicas that there may be, 4 fit into the cluster" in batch.told


def test_busy_endpoints_and_limits_are_heeded_from_here(batch):
    assert batch.ran("busy", *TWO, "--max-retries", "0", "--limit", "100") == 0
    right(batch, set(), 100)
    (batch.folder / "out.jsonl").unlink()
    (batch.folder / "out.manifest.json").unlink()
    limits = ("--budget", "40", "--max-tokens", "10")
    assert batch.ran("blocking", *TWO, *limits) == 1
    assert "stopped: the budget is spent" in batch.told
    spent = sum(json.loads(each)["cost"] for each in batch.lines())
    assert 30 < spent <= 40


def test_a_cluster_that_loses_all_its_workers_is_told_of(batch, ray):
    fields = {"least": 2, "most": 2, "ongoing": 8, "cpus": 1, "place_seconds": 3}
    with batch.running_with("squares", **fields) as process:
        assert batch.has(100)
        ray.kill_a_worker()
        ray.kill_a_worker()
        try:
            assert process.wait(120) == 1
        finally:
            ray.add_a_worker()
            ray.add_a_worker()
    last = batch.told.splitlines()[-1]
    assert last.startswith("ClusterError: ")
    assert "1 CPU" in last
    assert "has not given it within 3 s" in last
    with batch.running_with("squares", **fields) as process:
        assert process.wait(120) == 0, batch.told
    right(batch)
    assert batch.failures().keys() == FAILING


def test_a_cluster_without_room_says_so(batch):
    fields = {"least": 30, "most": 30, "cpus": 2, "place_seconds": 1}
    with batch.running_with("squares", **fields) as process:
        assert process.wait(120) == 1
    last = batch.told.splitlines()[-1]
    assert "ClusterError: 30 replicas need 60 CPUs; the cluster has " in last
    assert "has not given it within 1 s" in last


def test_ray_that_is_started_here_says_at_once_what_it_lacks(tmp_path):
    batch = Batch(tmp_path, 1)
    assert batch.ran("squares", "--cpus", "64000") == 1
    assert "a replica needs 64000 CPUs; a machine of the cluster has" in batch.told
    assert "Traceback" not in batch.told


def test_a_model_that_is_another_one_there_is_refused(batch):
    assert batch.ran("other", *TWO) == 1
    assert "other can't be started in a replica: ClusterError: on its machine the" in batch.told
    assert "settings.model_name" in batch.told
    assert "Traceback" not in batch.told
