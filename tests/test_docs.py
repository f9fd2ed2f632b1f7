"""What the documentation says is run."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

import chatwright
from chatwright import load
from chatwright.wrap.gguf.weights import find

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
PAGES = ["README.md", *(each for each in DOCS if "```python\n" in (ROOT / each).read_text())]
LINKED = [
    *(each for each in DOCS if each not in PAGES and each != "docs/conformance.md"),
    *("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
]
"""Further pages with links."""

MINE = "from typing import Any\n\nmy_client: Any = None\n"
"""What a reader has of his own."""


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def no_provider(monkeypatch):
    """Take back OpenTelemetry's provider that a page sets: it is set once a process."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())


@pytest.mark.usefixtures("no_provider")
@pytest.mark.parametrize("page", PAGES)
def test_python_examples_run(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks(page)):
        code = block.replace("weights.gguf", str(find("smollm2")))
        code = code.replace("n_parallel=8", "n_parallel=1, n_ctx=512, max_tokens=4")
        exec(compile(code, f"{page}:{number}", "exec"), NAMESPACES[page])
    if page == "README.md":
        assert capsys.readouterr().out.strip()


def names(tree, kind):
    found = (each for each in ast.walk(tree) if isinstance(each, ast.Name))
    return {each.id for each in found if isinstance(each.ctx, kind)}


def defined(tree):
    made = names(tree, ast.Store)
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(each.name)
        elif isinstance(each, ast.alias):
            made.add(each.asname or each.name)
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A user's project: each example is a module, which imports what earlier ones have made."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.py").write_text(MINE)
    for page in PAGES:
        homes = dict.fromkeys(defined(ast.parse(MINE)), "mine")
        for number, block in enumerate(blocks(page)):
            tree = ast.parse(block)
            module = f"{re.sub(r'[^a-z]', '_', page.removesuffix('.md').lower())}_{number}"
            needed = sorted((names(tree, ast.Load) - defined(tree)) & homes.keys())
            lines = [f"from {homes[name]} import {name}\n" for name in needed]
            (folder / f"{module}.py").write_text("".join([*lines, "\n", block]))
            homes |= dict.fromkeys(defined(tree), module)
    return folder


def checked(command, folder, **environment):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr


SOURCE = str(Path(chatwright.__file__).parents[1])


@pytest.mark.timeout(300)
def test_examples_are_well_typed_for_mypy(project):
    cache = ROOT / ".mypy_cache" / "examples"
    ours = ["--implicit-reexport"]  # an example has the names of those before it
    strictly = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={cache}"]
    checked(["mypy", *strictly, *ours, "."], project, MYPYPATH=SOURCE)


@pytest.mark.timeout(300)
def test_examples_are_well_typed_for_pyright(project):
    settings = {"typeCheckingMode": "strict", "extraPaths": [SOURCE], "include": ["."]}
    # langchain's create_agent and langgraph's graphs leave parameters of their types open.
    unknown = ("Argument", "Member", "Variable")
    settings |= {f"reportUnknown{each}Type": "none" for each in unknown}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    checked(["basedpyright", "--pythonpath", sys.executable, "--level", "error"], project)


@pytest.mark.parametrize("page", ["docs/sources.md", "docs/endpoints.md"])
def test_endpoint_files_load(page, tmp_path, monkeypatch):
    monkeypatch.setenv("ACME_URL", "http://llm.acme.example")
    monkeypatch.setenv("ACME_KEY", "k")
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    path = tmp_path / "acme.toml"
    path.write_text(block)
    assert load(str(path)).explain("hello")["body"]


NAMESPACES = {page: {"__name__": "example"} for page in PAGES}


def test_generated_pages_are_fresh():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate_docs.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, make in generate.PAGES.items():
        assert (ROOT / "docs" / name).read_text() == make(), f"{name} is stale: make docs"


@pytest.mark.parametrize("page", [*PAGES, *LINKED])
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_architecture_fits_on_one_screen():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 60


def test_the_readme_fits_on_two_screens():
    shown = (ROOT / "README.md").read_text().partition("<details>")[0]
    assert len(shown.splitlines()) <= 125


def test_the_citation_names_this_version():
    said = (ROOT / "CITATION.cff").read_text()
    version = metadata.version("chatwright")
    assert f"\nversion: {version}\n" in said
