"""What the documentation says is run."""

import importlib.util
import re
from pathlib import Path

import pytest

from chatwright import load
from chatwright.wrap.gguf.weights import find

ROOT = Path(__file__).parents[1]
PAGES = [
    *("README.md", "docs/check.md", "docs/custom-chat-model.md", "docs/endpoints.md"),
    "docs/tools.md",
]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_run(page, capsys):
    assert len(blocks(page)) > 1
    for number, block in enumerate(blocks(page)):
        code = block.replace("weights.gguf", str(find("smollm2")))
        code = code.replace("n_parallel=8", "n_parallel=1, n_ctx=512, max_tokens=4")
        exec(compile(code, f"{page}:{number}", "exec"), NAMESPACES[page])
    if page == "README.md":
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", ["README.md", "docs/endpoints.md"])
def test_endpoint_files_load(page, tmp_path, monkeypatch):
    monkeypatch.setenv("ACME_URL", "http://llm.acme.example")
    monkeypatch.setenv("ACME_KEY", "k")
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    path = tmp_path / "acme.toml"
    path.write_text(block)
    assert load(str(path)).explain("hello")["body"]


NAMESPACES = {page: {"__name__": "example"} for page in PAGES}


def test_generated_pages_are_fresh():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, make in generate.PAGES.items():
        assert (ROOT / "docs" / name).read_text() == make(), f"{name} is stale: make docs"


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_architecture_fits_on_one_screen():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 60
