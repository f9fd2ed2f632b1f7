"""Runs that are killed at random times and resumed: every id exactly once, every result right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed.py")


@pytest.mark.parametrize(
    "kills", [10, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_killed_runs_lose_nothing_and_double_nothing(tmp_path, kills):
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(kills), "18"],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout)
    assert told["kills"] == kills
    # What a kill can cost is what was in flight, or not yet on the disk.
    assert told["asked"] <= told["rows"] + kills * 16 * 60
