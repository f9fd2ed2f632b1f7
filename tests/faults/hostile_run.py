"""Checks one hostile model, in a process of its own: `python -m faults.hostile_run NAME RULE …`."""

import json
import os
import sys
import warnings
from pathlib import Path

from chatwright.checks import check
from faults import hostile

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name, target, *only = sys.argv[1:]
    before = os.getpid()
    report = check(getattr(hostile, name), only=only, langchain_tests=False, timeout=3)
    told = {"pid": os.getpid(), "before": before, **report.as_dict()}
    with Path(target).open("a") as file:  # stdout may be gone; a copy would write a second line
        file.write(json.dumps(told) + "\n")
    os._exit(0)  # a blocked thread would keep the process
