"""The options of replicas: refused by name where they make no sense, before Ray is looked for."""

import logging
import os
import sys

import pytest
from typer.testing import CliRunner

from chatwright import MissingExtraError, ParameterError, Scale, run_batch, serve_on_ray
from chatwright.cli import app
from chatwright.cli.on_ray import OnRay


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replicas", "2"], "--replicas goes with --engine ray"),
        (["--cpus", "0"], "--cpus goes with --engine ray"),
        (["--gpus", "1"], "--gpus goes with --engine ray"),
        (["--ongoing", "1"], "--ongoing goes with --engine ray"),
        (["--ray-address", "x:1"], "--ray-address goes with --engine ray"),
        (["--engine", "ray", "--replicas", "two"], "N or MIN:MAX, not 'two'"),
        (["--engine", "ray", "--replicas", "2:x"], "N or MIN:MAX, not '2:x'"),
        (["--engine", "ray", "--replicas", "3:2"], "3 and 2 are not a least and a most"),
        (["--engine", "ray", "--reload"], "--reload goes with no --engine ray"),
        (["--engine", "dask"], "dask"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said):
    refused = CliRunner().invoke(app, ["serve", *arguments], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert said in refused.stderr


def on_ray(replicas=None, ongoing=None, engine="ray"):
    return OnRay(engine, replicas, None, None, ongoing, None)


def test_as_many_answers_at_once_as_replicas_take(caplog):
    assert on_ray(engine="local").at_once(None, 1) == 64
    assert on_ray(engine="local").at_once(7, 1) == 7
    assert on_ray("2").at_once(None, 1) == 64
    assert on_ray("2", 100).at_once(None, 3) == 2 * 100 * 2 * 3
    assert on_ray("1:8").at_once(None, 1) == 64
    assert on_ray("1:20").at_once(None, 1) == 160
    assert not caplog.records
    assert on_ray("1:8").at_once(31, 1) == 31
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    assert "--concurrency 31 is less than the 32 that replicas scale to" in caplog.text


def test_ray_is_an_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.delitem(sys.modules, "chatwright.run.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"chatwright\[ray,serve\]"):
        serve_on_ray({"m": "smollm2"}).__enter__()
    with pytest.raises(MissingExtraError, match=r"chatwright\[batch,ray\]"):
        run_batch("smollm2", ["x"], tmp_path / "out.jsonl", engine="ray")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "dask"}, "engine can be local or ray, not 'dask'"),
        ({"scale": Scale()}, "scale goes with engine='ray'"),
        ({"address": "x:1"}, "address goes with engine='ray'"),
        ({"engine": "ray", "via": "provider"}, "engine is for rows that are asked here"),
    ],
)
def test_what_makes_no_sense_of_a_batch_is_refused(options, said, tmp_path):
    with pytest.raises(ParameterError, match=said):
        run_batch("smollm2", ["x"], tmp_path / "out.jsonl", **options)
    assert not [*tmp_path.iterdir()]
