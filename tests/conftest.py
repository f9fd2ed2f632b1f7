"""Which tests run llama.cpp: `make test` gives them a process, and a core, of their own."""

import functools
import gc
import inspect
import re

ENGINE = re.compile(r"gguf|smollm2|loaded\(\)", re.IGNORECASE)
source = functools.cache(inspect.getsource)


def pytest_collection_modifyitems(items):
    for item in items:
        if "installed" in item.fixturenames:
            continue  # a wheel in an environment of its own, which has no llama.cpp
        if ENGINE.search(item.nodeid) or ENGINE.search(source(item.function)):
            item.add_marker("engine")


def pytest_collection_finish():
    """Have the garbage collector leave alone what is there for good: ten thousand tests."""
    gc.freeze()
