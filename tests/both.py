"""Runs the tests in processes side by side: llama.cpp's threads spin, and check's rules wait.

Arguments are passed on to pytest. The exit code is 0 if lint and all parts pass.
"""

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

PYTEST = [sys.executable, "-m", "pytest", *sys.argv[1:]]
ENGINE = [*PYTEST, "-m", "engine and not long and not wild and not release"]
OTHERS = [*PYTEST, "-m", "not engine and not long and not wild and not release"]
LINT = ["make", "--silent", "lint"]
CHECK = "tests/check"
REPORTS = ["tests/check/test_reports.py", "tests/check/test_report_in_browser.py"]
HONEST = "tests/check/test_honest.py"
SOURCES = ["tests/wrap", "tests/core"]
COMMANDS = "tests/cli"
LANES = [
    # One after the other in a lane; the lanes side by side.
    [ENGINE, [*OTHERS, *REPORTS, HONEST], [*OTHERS, COMMANDS]],
    [LINT, [*OTHERS, *(f"--ignore={each}" for each in [CHECK, *SOURCES, COMMANDS])]],
    [
        [*OTHERS, CHECK, *(f"--ignore={each}" for each in [*REPORTS, HONEST])],
        [*OTHERS, *SOURCES],
    ],
]


def run(command):
    """Run a command, and print what it said once it has ended; return its exit code."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        code = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)
        log.seek(0)
        said = log.read()
    took = time.monotonic() - started
    sys.stdout.write(f"$ {' '.join(command[1:])}  ({took:.0f} s)\n{said}\n")
    sys.stdout.flush()
    return code


def lane(commands):
    return [run(each) for each in commands]


def side_by_side(lanes):
    """Run all lanes; return the worst exit code."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        return max(code for codes in pool.map(lane, lanes) for code in codes)


if __name__ == "__main__":
    sys.exit(side_by_side(LANES))
