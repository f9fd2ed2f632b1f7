"""Batches at a provider, killed at every tender moment: nothing is lost, nothing is asked twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("provider_killed.py")
ROOT = Path(__file__).parents[3]
ALL = ("lost", "cut", "fsync", "replace", "unlink")
STEP = int(os.environ.get("KILL_STEP", "29"))
"""How many moments lie between two that are tried: KILL_STEP=1 tries each, for hours."""
SOME = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize(("step", "moments"), [(0, ("cut",)), pytest.param(STEP, ALL, marks=SOME)])
def test_a_kill_at_any_moment_loses_nothing_and_asks_nothing_twice(tmp_path, wire, step, moments):
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), wire, str(step), *moments],
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    assert told.keys() == {*moments}
    assert all(told.values())
