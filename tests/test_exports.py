import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import chatwright

MODULES = [
    each.name
    for each in pkgutil.walk_packages(chatwright.__path__, "chatwright.")
    if not each.name.endswith("__main__")
]


def in_order(name):
    """Sort as ruff does: constants, classes, functions."""
    return not name.isupper(), not name[0].isupper(), name


def test_the_packages_names_are_sorted_and_real():
    assert chatwright.__all__ == sorted(chatwright.__all__, key=in_order)
    assert sorted(chatwright._HOME, key=in_order) == chatwright.__all__
    for name in chatwright.__all__:
        value = getattr(chatwright, name)
        assert value is getattr(importlib.import_module(chatwright._HOME[name]), name)
    assert dir(chatwright) == sorted(chatwright.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = chatwright.no_such_name


def test_what_type_checkers_see_is_what_is_there():
    tree = ast.parse(Path(chatwright.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == chatwright._HOME


def test_every_error_is_exported():
    assert set(importlib.import_module("chatwright.errors").__all__) <= set(chatwright.__all__)


RAYS = {f"chatwright.run.{name}" for name in ("actors", "cluster", "replicas")}
"""Modules that can't be imported without their library, which warns of its own code."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.filterwarnings("ignore")] * (n in RAYS)) for n in MODULES],
)
def test_every_module_says_what_it_exports(name):
    if name in RAYS:
        pytest.importorskip("ray")
    module = importlib.import_module(name)
    assert module.__doc__
    exported = getattr(module, "__all__", [])
    assert exported == sorted(exported, key=in_order)
    for each in exported:
        value = getattr(module, each)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{each}"


def test_importing_the_package_imports_no_langchain():
    code = "import chatwright, sys; print([m for m in sys.modules if 'langchain' in m])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
