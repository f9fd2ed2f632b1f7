"""Who may import whom: ARCHITECTURE.md's table, held over every import, inside functions too."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import chatwright

ROOT = Path(chatwright.__file__).parent
LANGCHAIN = {"langchain_core", "pydantic", "typing_extensions"}
MAY = {
    # package or module: (parts of ours, third-party libraries)
    "deltas": (set(), set()),
    "errors": (set(), {"langchain_core"}),
    "core": ({"core", "deltas", "errors"}, set()),
    "langchain": ({"core", "deltas", "errors", "langchain"}, LANGCHAIN | {"pydantic_core"}),
    "wires": ({"core", "deltas", "errors", "langchain", "wires"}, LANGCHAIN),
    "wrap": ({"core", "deltas", "errors", "langchain", "wires", "wrap"}, LANGCHAIN),
    "checks": ({"checks", "core", "deltas", "testing", "wires"}, {"langchain_core", "pydantic"}),
    "run": (
        {"core", "deltas", "errors", "langchain", "run", "wires"},
        {"langchain_core"},
    ),
    "new": ({"errors", "new", "wrap"}, set()),
    "asgi": ({"errors", "run", "wrap"}, {"starlette"}),
    "batch": ({"errors", "langchain", "run", "wrap"}, set()),
    "doctor": ({"batch", "core", "wrap"}, {"packaging"}),
    "testing": ({"deltas", "langchain", "testing", "wires"}, {"pydantic"}),
    "cli": (
        {"asgi", "batch", "checks", "cli", "doctor", "errors", "new", "run", "wrap"},
        {"chatwright", "langchain_core", "pydantic", "rich", "typer"},
    ),
    "__main__": ({"cli"}, set()),
    "__init__": (
        {
            "asgi",
            "batch",
            "checks",
            "core",
            "deltas",
            "errors",
            "langchain",
            "run",
            "wires",
            "wrap",
        },
        set(),
    ),
}
ONE_LIBRARY = {
    "checks/plugin.py": {"pytest"},
    "checks/reports/text.py": {"rich"},
    "checks/probes/graphs.py": {"langgraph"},
    "checks/run/langchain_tests.py": {"langchain_tests", "pytest"},
    "langchain/prices.py": {"genai_prices"},
    "langchain/telemetry.py": {"opentelemetry"},
    "new/package.py": {"copier"},
    "run/batch/files.py": {"fsspec"},
    "run/batch/index.py": {"numpy"},
    "run/batch/parts.py": {"pyarrow"},
    "run/batch/store.py": {"filelock"},
    "run/batch/tables.py": {"pyarrow"},
    "run/actors.py": {"ray"},
    "run/cluster.py": {"ray"},
    "run/replicas.py": {"ray"},
    "run/serve/app.py": {"starlette"},
    "run/serve/exchange.py": {"starlette"},
    "run/serve/guard.py": {"starlette"},
    "run/serve/inspector.py": {"starlette"},
    "run/serve/listings.py": {"starlette"},
    "run/serve/metrics.py": {"prometheus_client"},
    "run/serve/openapi.py": {"starlette"},
    "run/serve/page.py": {"starlette"},
    "run/serve/reload.py": {"watchfiles"},
    "run/serve/responses.py": {"starlette"},
    "run/serve/resume.py": {"starlette"},
    "run/serve/server.py": {"uvicorn"},
    "run/serve/sockets.py": {"starlette"},
    "run/serve/tracing.py": {"opentelemetry", "starlette"},
    "langchain/validation.py": {"jsonschema"},
    "wrap/acp/session.py": {"acp"},
    "wrap/described.py": {"jmespath"},
    "wrap/endpoint/exchange.py": {"tenacity"},
    "wrap/endpoint/fast.py": {"aiohttp", "yarl"},
    "wrap/endpoint/http.py": {"httpx2"},
    "wrap/echo.py": {"chatwright"},
    "wrap/function.py": {"cloudpickle"},
    "wrap/gguf/engine.py": {"xllamacpp"},
    "wrap/gguf/weights.py": {"huggingface_hub", "platformdirs"},
    "wrap/recording/cassette.py": {"filelock"},
    "wrap/recording/plugin.py": {"pytest"},
    "wires/jsonio.py": {"orjson"},
    "cli/chat.py": {"platformdirs", "readline"},
}
SHARED = {"chatwright", "filelock", "platformdirs", "pyarrow", "pytest", "ray", "readline", "rich"}
SHARED |= {"opentelemetry", "starlette"}
"""Libraries that several files import: ours, the command line's, pytest's, and frameworks."""


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module


def part(path):
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def violations():
    for path in sorted(ROOT.rglob("*.py")):
        ours, libraries = MAY[part(path)]
        libraries = libraries | ONE_LIBRARY.get(path.relative_to(ROOT).as_posix(), set())
        for name in imports(path):
            top, *rest = name.split(".")
            if top == "chatwright" and rest:
                if rest[0] not in ours:
                    yield f"{path.relative_to(ROOT)} imports {name}"
            elif top not in sys.stdlib_module_names and top not in libraries:
                yield f"{path.relative_to(ROOT)} imports {name}"


def test_imports_go_one_way():
    assert list(violations()) == []


def test_one_library_has_one_importing_file():
    homes = {}
    for path in ROOT.rglob("*.py"):
        for name in imports(path):
            homes.setdefault(name.split(".")[0], set()).add(path.name)
    for libraries in ONE_LIBRARY.values():
        for library in libraries - SHARED:
            assert len(homes[library]) == 1, library


def targets(path):
    """Yield the modules of ours that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    "package", ["checks", "testing", "wires", "wrap/acp", "wrap/endpoint", "wrap/recording"]
)
def test_modules_import_no_one_that_imports_them(package):
    names = {
        ".".join(["chatwright", *path.relative_to(ROOT).with_suffix("").parts]): path
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    sorter = TopologicalSorter({name: names.keys() & {*targets(names[name])} for name in names})
    sorter.prepare()  # raises CycleError


def test_the_folders_of_checks_go_one_way():
    order = [
        "changes",
        "sources",
        "finding",
        "outcome",
        "calls",
        "targets",
        "trial",
        "rulebook",
        "probes",
        "contract",
    ]
    order += ["run", "reports", "plugin", "reference", "__init__"]
    for path in (ROOT / "checks").rglob("*.py"):
        own = order.index(path.relative_to(ROOT / "checks").parts[0].removesuffix(".py"))
        for name in imports(path):
            if name.startswith("chatwright.checks."):
                assert order.index(name.split(".")[2]) <= own, f"{path} imports {name}"


def test_the_package_that_knows_the_wires_does_no_io():
    doing = {"asyncio", "io", "os", "pathlib", "select", "socket", "ssl", "subprocess", "threading"}
    doing |= {"http", "urllib", "tempfile"}
    for path in (ROOT / "wires").rglob("*.py"):
        found = {name.split(".")[0] for name in imports(path)} & doing
        assert not found, f"{path}: {found}"


def test_the_table_is_the_one_in_architecture_md():
    text = (ROOT.parents[1] / "ARCHITECTURE.md").read_text()
    for name in MAY:
        if name not in {"__init__", "__main__"}:
            assert re.search(rf"^\| `{name}`", text, re.MULTILINE), name


def test_modules_and_functions_are_small():
    for path in ROOT.rglob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
