"""What `chatwright new` makes, without installing it; test_packages.py installs it."""

import ast
import importlib
import inspect
import json
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Response

import chatwright
from chatwright.cli import app
from chatwright.errors import LoadError, MissingExtraError, PackageError
from chatwright.new import KINDS, create, package

ROOT = Path(__file__).parents[2]
SOURCE = Path(chatwright.__file__).parents[1]
TEMPLATE = Path(package.__file__).parent / "template"
OWN = """\
# Told by nobody but us.
url = "${env:ACME_URL}/ask"
model = "acme-1"
key_env = "ACME_SECRET"
headers = { "X-Team" = "${env:ACME_TEAM}" }

[request]
body = { question = "${prompt}" }

[response]
framing = "json"
text = "answer"
"""


def call(*command, **options):
    done = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=200, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def made(folder, kind, name=None, **options):
    name = name or f"langchain-made-{kind}"
    return create(name, kind=kind, folder=folder / name, author="Ann", **options)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A package of each kind, and one with a long name."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        made(folder, kind)
        made(folder, kind, f"langchain-{kind}".ljust(40, "x"))
        made(folder, kind, f"langchain-{kind[:2]}")
    return folder


def model_class(folder, kind, monkeypatch):
    monkeypatch.syspath_prepend(folder / f"langchain-made-{kind}")
    module = importlib.import_module(f"langchain_made_{kind}")
    return getattr(module, f"ChatMade{kind.capitalize()}")


def test_each_kind_passes_ruff_as_it_sets_it_up(packages):
    for folder in packages.iterdir():
        call(sys.executable, "-m", "ruff", "check", ".", cwd=folder)
        call(sys.executable, "-m", "ruff", "format", "--check", ".", cwd=folder)


def test_each_kind_is_well_typed(packages, tmp_path):
    modules = [argument for kind in KINDS for argument in ("-p", f"langchain_made_{kind}")]
    path = [SOURCE, *(packages / f"langchain-made-{kind}" for kind in KINDS)]
    environment = {"MYPYPATH": ":".join(map(str, path)), "PATH": ""}
    strictly = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'new'}"]
    strictly += ["--follow-imports=silent"]
    call(sys.executable, "-m", "mypy", *strictly, *modules, cwd=tmp_path, env=environment)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_has_under_forty_lines_and_answers(packages, kind, monkeypatch):
    cls = model_class(packages, kind, monkeypatch)
    assert len(Path(inspect.getfile(cls)).read_text().splitlines()) < 40
    assert issubclass(cls, BaseChatModel)
    model = cls()
    assert model._llm_type == f"chat-made-{kind}"
    if kind not in {"endpoint", "gguf"}:
        assert model.invoke("Say hello.").text.strip() == "Say hello."


def documented(cls):
    """Return whether there is a docstring below each field, where it is defined last."""
    found = {}
    for each in cls.__mro__[: cls.__mro__.index(BaseChatModel)]:
        module = ast.parse(Path(inspect.getfile(each)).read_text())
        (tree,) = (node for node in module.body if getattr(node, "name", "") == each.__name__)
        for field, text in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                found.setdefault(field.target.id, is_text)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_argument_has_a_docstring_and_the_class_a_link(packages, kind, monkeypatch):
    cls = model_class(packages, kind, monkeypatch)
    ours = cls.model_fields.keys() - BaseChatModel.model_fields.keys()
    assert ours
    told = documented(cls)
    assert [name for name in ours if not told[name]] == []
    assert "https://" in cls.__doc__


@pytest.mark.parametrize("kind", ["function", "class", "endpoint"])
def test_the_key_comes_from_the_environment_and_is_never_shown(packages, kind, monkeypatch):
    cls = model_class(packages, kind, monkeypatch)
    variable = f"MADE_{kind.upper()}_API_KEY"
    monkeypatch.setenv(variable, "sk-very-secret")
    model = cls()
    assert model.api_key == SecretStr("sk-very-secret")
    stored = json.dumps(dumpd(model))
    assert variable in stored
    assert "CHATWRIGHT_API_KEY" not in stored
    assert "sk-very-secret" not in stored + repr(model) + str(model)


def test_what_a_publisher_needs_is_there(packages):
    folder = packages / "langchain-made-class"
    there = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}
    assert {
        ".copier-answers.yml",
        ".github/workflows/check.yml",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "chatwright.svg",
        "langchain_made_class/__init__.py",
        "langchain_made_class/chat_models.py",
        "langchain_made_class/py.typed",
        "pyproject.toml",
        "tests/integration_tests/test_standard.py",
        "tests/unit_tests/test_contract.py",
        "tests/unit_tests/test_standard.py",
    } <= there
    assert not [name for name in there if name.endswith(".jinja") or "{" in name]
    assert "Ann" in (folder / "LICENSE").read_text()
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert f"chatwright>={version('chatwright')}" in project["dependencies"]
    models = project["entry-points"]["chatwright.models"]
    assert models == {"made-class": "langchain_made_class:ChatMadeClass"}
    steps = yaml.safe_load((folder / ".github/workflows/check.yml").read_text())["jobs"]["check"]
    assert {"run": "pytest tests/unit_tests"} in steps["steps"]
    assert "](chatwright.svg)" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("acme", "'langchain-acme' does"),
        ("Langchain_Acme", "'langchain-acme' does"),
        ("langchain-", "a letter first"),
        ("langchain-3d", "a letter first"),
        ("langchain-acme-", "'langchain-acme' does"),
        ("langchain-a/../b", "'langchain-a-b' does"),
        ("", "a letter first"),
        ("langchain-" + "x" * 31, "longer than 40"),
        ("langchain-core", "is installed; take another"),
    ],
)
def test_a_name_that_does_not_fit_is_refused_with_one_that_does(name, hint, tmp_path):
    with pytest.raises(PackageError, match=hint) as caught:
        create(name, folder=tmp_path / "p")
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_nothing_is_overwritten(tmp_path):
    for each in ("file", "folder", "link"):
        path = tmp_path / each
        if each == "file":
            path.write_text("mine")
        elif each == "folder":
            path.mkdir()
        else:
            path.symlink_to(tmp_path / "nowhere")
        with pytest.raises(PackageError, match="nothing is overwritten"):
            create("langchain-made", folder=path)
    assert (tmp_path / "file").read_text() == "mine"
    assert not [*(tmp_path / "folder").iterdir()]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"kind": "telepathy"}, "function, class, endpoint, gguf, command, agent"),
        ({"api": "see the wiki"}, "begins with https://"),
        ({"api": 'https://x.example/"""'}, "begins with https://"),
        ({"endpoint": Path("acme.toml"), "kind": "class"}, "makes the kind 'endpoint'"),
        ({"template": "/no/such/repository"}, "can't be used"),
    ],
)
def test_what_can_not_be_is_an_error_and_leaves_nothing_behind(wrong, hint, tmp_path):
    with pytest.raises(PackageError, match=hint):
        create("langchain-made", folder=tmp_path / "p", **wrong)
    assert not (tmp_path / "p").exists()


def test_an_endpoint_file_is_what_the_package_begins_with(tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text(OWN)
    folder = made(tmp_path, "endpoint", "langchain-made-own", endpoint=tmp_path / "own.toml")
    shipped = (folder / "langchain_made_own" / "endpoint.toml").read_text()
    assert shipped == OWN.replace('key_env = "ACME_SECRET"\n', "")
    call(sys.executable, "-m", "ruff", "check", ".", cwd=folder)
    call(sys.executable, "-m", "ruff", "format", "--check", ".", cwd=folder)
    settings = (folder / "tests" / "conftest.py").read_text()
    assert 'os.environ.setdefault("ACME_URL", "https://server.example")' in settings
    monkeypatch.syspath_prepend(folder)
    cls = importlib.import_module("langchain_made_own").ChatMadeOwn
    with pytest.raises(LoadError, match=r"endpoint.toml:2: url: .*ACME_URL is not set"):
        cls()
    monkeypatch.setenv("ACME_TEAM", "red")
    monkeypatch.setenv("ACME_SECRET", "sk-1")
    with HTTPServer() as server:
        sent = {"X-Team": "red", "Authorization": "Bearer sk-1"}
        said = {"answer": "It sat on the mat."}
        server.expect_request("/v9/ask", headers=sent).respond_with_json(said)
        assert cls(server.url_for("/v9/ask")).invoke("Where?").text == "It sat on the mat."
        monkeypatch.setenv("ACME_URL", server.url_for("/v9"))
        assert cls().invoke("Where?").text == "It sat on the mat."


def test_a_broken_endpoint_file_is_an_error_with_its_line(tmp_path):
    (tmp_path / "own.toml").write_text('url = "http://x.example"\nno_such = 1\n')
    with pytest.raises(LoadError, match=r"own.toml:2: no_such"):
        made(tmp_path, "endpoint", endpoint=tmp_path / "own.toml")
    with pytest.raises(LoadError, match="can't be read"):
        made(tmp_path, "endpoint", endpoint=tmp_path / "none.toml")


def answer(request):
    said = json.dumps({"answer": request.get_json()["question"]})
    return Response(said, mimetype="application/json")


def test_a_curl_command_is_what_the_package_begins_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with HTTPServer() as server:
        server.expect_request("/ask").respond_with_handler(answer)
        command = (
            f"curl {server.url_for('/ask')} -H 'X-Api-Key: sk-0123456789abcdef' "
            """-H 'Content-Type: application/json' -d '{"question": "hi"}'"""
        )
        done = CliRunner().invoke(app, ["new", "langchain-made-by-curl", "--curl", command])
        assert done.exit_code == 0, done.output
        written = [each for each in Path("langchain-made-by-curl").rglob("*") if each.is_file()]
        assert not [each for each in written if "sk-0123456789abcdef" in each.read_text()]
        monkeypatch.syspath_prepend(tmp_path / "langchain-made-by-curl")
        cls = importlib.import_module("langchain_made_by_curl").ChatMadeByCurl
        said = cls(api_key="sk-0123456789abcdef").invoke("Where?").text
        assert said.strip() == "Where?"
        sent = server.log[-1][0]
        assert sent.headers["X-Api-Key"] == "sk-0123456789abcdef"


def test_the_command_says_what_it_has_made_and_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    done = run(app, ["new", "langchain-made-up", "--kind", "function", "--author", "Ann"])
    assert done.exit_code == 0
    assert done.stdout.startswith("langchain-made-up is made")
    again = run(app, ["new", "langchain-made-up"])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "langchain-made-up is there already" in again.stderr
    both = run(app, ["new", "langchain-made-two", "--from", "a.toml", "--curl", "curl x"])
    assert (both.exit_code, both.stderr) == (2, "chatwright: give --from or --curl, not both\n")


def test_without_copier_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "copier", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chatwright\[new\]'"):
        made(tmp_path, "class")


def git(folder, *arguments):
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    return call("git", *who, *arguments, cwd=folder)


@pytest.fixture
def repository(tmp_path):
    """A Git repository like the project's own, with one tag: this version."""
    folder = tmp_path / "chatwright"
    inside = folder / TEMPLATE.relative_to(SOURCE.parent)
    shutil.copytree(TEMPLATE, inside)
    (folder / "copier.yml").write_bytes((ROOT / "copier.yml").read_bytes())
    git(folder.parent, "init", "-q", str(folder))
    release(folder, version("chatwright"))
    return folder


def release(folder, number):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", number)
    git(folder, "tag", f"v{number}")


@pytest.mark.parametrize("installed", [True, False])
def test_copier_brings_a_package_up_to_date_and_keeps_what_is_its_own(
    tmp_path, repository, installed, monkeypatch
):
    (tmp_path / "own.toml").write_text(OWN)
    own = {"endpoint": tmp_path / "own.toml"}
    if installed:  # the template that comes with the package, whose metadata name the repository
        monkeypatch.setattr(package, "_repository", lambda: str(repository))
        folder = made(tmp_path, "endpoint", **own)
    else:
        folder = made(tmp_path, "endpoint", template=str(repository), **own)
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert answers["_src_path"] == str(repository)
    assert answers["_commit"] == f"v{version('chatwright')}"
    git(tmp_path, "init", "-q", str(folder))
    model = folder / "langchain_made_endpoint" / "chat_models.py"
    model.write_text(model.read_text() + "\n# My own line.\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")

    inside = repository / TEMPLATE.relative_to(SOURCE.parent) / "project"
    for path in inside.rglob("*.jinja"):
        changed = path.read_text().replace("streaming, async, tools", "Much better now: tools")
        changed = changed.replace('"""Take from `endpoint.toml`', '"""Newly, take from it')
        path.write_text(changed.replace("# How the server is spoken to", "# New words"))
    release(repository, "7.0.0")
    call(sys.executable, "-m", "copier", "update", "--defaults", "--quiet", cwd=folder)

    assert "Much better now" in (folder / "README.md").read_text()
    assert "Newly, take from it" in model.read_text()
    assert "# My own line." in model.read_text()
    shipped = (folder / "langchain_made_endpoint" / "endpoint.toml").read_text()
    assert shipped == OWN.replace('key_env = "ACME_SECRET"\n', "")
    answers |= {"_commit": "v7.0.0"}
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text()) == answers
    changed = {line.strip() for line in git(folder, "status", "--short").splitlines()}
    model = "langchain_made_endpoint/chat_models.py"
    assert changed == {"M .copier-answers.yml", "M README.md", f"M {model}"}


def test_no_path_of_this_machine_is_in_a_package(packages):
    for each in packages.rglob("*"):
        if each.is_file():
            assert str(SOURCE.parent).encode() not in each.read_bytes(), each


def test_where_no_repository_is_known_the_answers_say_what_copier_wants(packages, monkeypatch):
    text = (packages / "langchain-made-class" / ".copier-answers.yml").read_text()
    assert package._repository() or "let _src_path be the Git address" in text
    links = {"Project-URL": ["Changelog, https://x.example/c", "Source, https://x.example/git"]}
    monkeypatch.setattr(package, "metadata", lambda _: type("M", (), {"get_all": links.get}))
    assert package._repository() == "https://x.example/git"


def test_the_template_is_of_this_version():
    questions = yaml.safe_load((TEMPLATE / "copier.yml").read_text())
    assert questions["chatwright"]["default"] == version("chatwright")
    assert questions["kind"]["choices"] == [*KINDS]
