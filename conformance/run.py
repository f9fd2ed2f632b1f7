"""Checks the packages, tries the reproductions, and writes docs/conformance.md."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from chatwright.checks.supervise import Supervised
from conformance import page
from conformance.models import FAKES, PACKAGES, Package

__all__ = ["find", "main"]

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "conformance.md"
SCRIPT_SECONDS = 120
SUITES = {"test_standard_params_model_override": "r1", "test_structured_output": "o3"}
"""Which script shows what makes a test of langchain-tests fail, by how the test's name begins."""


def find(named: str) -> Any:
    """Return a fake as it is, or the class of a package's model."""
    if named in FAKES:
        return FAKES[named]
    module = __import__(PACKAGES[named].module, fromlist=[named])
    return getattr(module, named)


def main() -> None:
    """Check all packages, or those that are named; only all of them are written down."""
    names = [each for each in sys.argv[1:] if each in PACKAGES] or [*PACKAGES]
    with tempfile.TemporaryDirectory() as empty:
        os.environ |= {
            "TIKTOKEN_CACHE_DIR": empty,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PYTHONWARNINGS": "ignore",
        }
        results = [_checked(PACKAGES[each]) for each in names]
    if len(results) == len(PACKAGES):
        TARGET.write_text(page.written(results, _versions()), encoding="utf-8")
        print(f"{TARGET.relative_to(ROOT)} is written")
