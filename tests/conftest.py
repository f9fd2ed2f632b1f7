"""Which tests run llama.cpp: `make test` gives them a process, and a core, of their own."""

import inspect
import re

ENGINE = re.compile(r"gguf|smollm2|loaded\(\)", re.IGNORECASE)


def pytest_collection_modifyitems(items):
    for item in items:
        if ENGINE.search(item.nodeid) or ENGINE.search(inspect.getsource(item.function)):
            item.add_marker("engine")
