"""The wheel, as a user installs it."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


def call(*command, **options):
    done = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--outdir", out, ROOT)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with the wheel and its dependencies, no extra."""
    venv = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python"]
    call(*pip, "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", wheel)
    return venv / "bin"


@pytest.fixture(scope="module")
def wheel(built):
    (made,) = built.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        yield archive


@pytest.fixture(scope="module")
def described(wheel):
    """The wheel's metadata, which are valid by the standard."""
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    return Metadata.from_email(wheel.read(name), validate=True)


def test_the_same_source_makes_the_same_bytes(built, tmp_path):
    """From the sdist's own content, elsewhere, by somebody else: the same sdist and wheel."""
    (sdist,) = built.glob("*.tar.gz")
    mask = os.umask(0o077)
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path / "other", filter="data")
        (source,) = (tmp_path / "other").iterdir()
        for each in source.rglob("*.py"):
            os.utime(each, (1, 1))
        other = {"TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONHASHSEED": "7", "USER": "other"}
        call(sys.executable, "-m", "build", "--outdir", tmp_path, source, env=os.environ | other)
    finally:
        os.umask(mask)
    for each in built.iterdir():
        assert each.read_bytes() == (tmp_path / each.name).read_bytes(), each.name


def test_the_sdist_holds_what_git_does_and_nothing_stray(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {each.name.partition("/")[2] for each in archive if each.isfile()}
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = {each for each in call(*asked, cwd=ROOT).split("\0") if (ROOT / each).is_file()}
    assert inside - known == {"PKG-INFO"}
    of_the_repository_alone = (".ci/", ".github/")
    assert [each for each in known - inside if not each.startswith(of_the_repository_alone)] == []


def test_the_wheel_holds_no_test_no_weights_and_nothing_large(wheel):
    data = wheel.infolist()
    names = [each.filename for each in data]
    outside = "chatwright/new/template/"
    assert [each for each in names if "/tests/" in each and not each.startswith(outside)] == []
    wrong = re.compile(r"\.(gguf|safetensors|bin|so|pyd|dll|pyc|map|env)$|__pycache__")
    assert [each for each in names if wrong.search(each)] == []
    assert max(each.file_size for each in data) < 200_000
    assert sum(each.compress_size for each in data) < 2_000_000


def test_the_wheel_can_be_unpacked_on_any_platform(wheel):
    """Windows has neither these characters nor these names, and like macOS no two cases of one."""
    names = wheel.namelist()
    parts = {part for name in names for part in name.split("/")}
    assert [each for each in parts if re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', each)] == []
    reserved = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
    assert [each for each in parts if reserved.fullmatch(each)] == []
    assert len({each.lower() for each in names}) == len(names)
    assert max(map(len, names)) < 140  # 260 is Windows' limit, with the folder


def test_the_metadata_say_what_is_true(described):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (described.name, str(described.version)) == ("chatwright", version("chatwright"))
    assert {*described.provides_extra} == {*project["optional-dependencies"]}
    oldest = min(described.requires_python).version
    assert str(described.requires_python) == f">={oldest}"
    told = [each.rpartition(" :: ")[2] for each in described.classifiers if " :: 3." in each]
    assert told == [oldest, "3.12", "3.13", "3.14"]
    assert described.description == (ROOT / "README.md").read_text()


def test_the_licence_is_that_of_all_that_the_wheel_holds(wheel, described):
    (marked,) = [each for each in described.license_files if "marked" in each]
    (folder,) = {each.partition("/")[0] for each in wheel.namelist()} - {"chatwright"}
    assert "Redistribution and use" in wheel.read(f"{folder}/licenses/{marked}").decode()
    vendored = {each["name"]: each["licenses"] for each in bill(wheel)["components"]}
    named = {name for (each,) in vendored.values() for name in each["expression"].split(" AND ")}
    assert {*described.license_expression.split(" AND ")} == {"MIT", *named}
    beside = {each for each in wheel.namelist() if each.endswith("/vendor/README.md")}
    assert len(beside) == 1
    for each in vendored:
        assert f"src/chatwright/run/serve/page/vendor/{each}/LICENSE" in described.license_files
    assert {f"{folder}/licenses/{each}" for each in described.license_files} <= {*wheel.namelist()}


def bill(wheel):
    (name,) = [each for each in wheel.namelist() if "/sboms/" in each]
    assert name.endswith(".dist-info/sboms/vendored.cdx.json")
    return json.loads(wheel.read(name))


def test_the_bill_of_materials_names_every_library_of_others_by_its_hash(wheel):
    told = {
        each["name"]: each["hashes"]
        for library in bill(wheel)["components"]
        for each in library["components"]
    }
    there = {
        name: [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read(name)).hexdigest()}]
        for name in wheel.namelist()
        if "/vendor/" in name and name.endswith((".js", ".css")) and name.startswith("chatwright/")
    }
    assert told == there
    assert len(told) >= 4


def test_the_bill_of_materials_is_fresh():
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "make_sbom.py")
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    assert sbom.SBOM.read_text() == sbom.made(), "stale: python tools/make_sbom.py"


def test_the_license_of_what_the_site_holds_is_beside_it():
    for each in (ROOT / "docs" / "assets").glob("*.js"):
        assert "Permission is hereby granted" in each.with_suffix(".LICENSE").read_text()


def test_the_changelog_keeps_to_its_form():
    """As https://keepachangelog.com/en/1.1.0/ has it."""
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in versions[1:])
    assert versions[1].startswith(f"[{version('chatwright')}]")
    released = re.search(
        r'^date-released: "(.+)"$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE
    )
    assert versions[1].endswith(released[1])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {*re.findall(r"^### (.+)$", text, re.MULTILINE)} <= kinds


def test_the_forms_for_issues_are_valid():
    """By GitHub's syntax: a name, a description, and parts of known kinds with ids of their own."""
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"
    if not forms.exists():
        pytest.skip("the source distribution has none")
    for each in forms.glob("*.yml"):
        form = yaml.safe_load(each.read_text())
        if each.name == "config.yml":
            assert {*form} <= {"blank_issues_enabled", "contact_links"}
            continue
        assert {"name", "description", "body"} <= {*form}
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len({*ids}) > 0
        for part in form["body"]:
            assert part["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
            assert part["attributes"]["value" if part["type"] == "markdown" else "label"]


def test_wheel_and_sdist_hold_what_they_should(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "chatwright/py.typed" in names
    page = {name.partition("/run/serve/page/")[2] for name in names}
    assert {"inspector.js", "inspector.css", "check.js", "vendor/uplot/LICENSE"} <= page
    template = [each for each in (SOURCE / "chatwright/new/template").rglob("*") if each.is_file()]
    assert {each.relative_to(SOURCE).as_posix() for each in template} <= {*names}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith("chatwright") for name in names)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "copier.yml",
        "src/chatwright/__init__.py",
    } <= inside


def test_help_works_without_any_extra(installed, tmp_path):
    assert "chat" in call(installed / "chatwright", "--help", cwd=tmp_path)
    assert "needs [gguf]" in call(installed / "chatwright", "models", cwd=tmp_path)


def test_a_missing_extra_is_one_line_that_names_the_command(installed, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    done = subprocess.run(
        [installed / "chatwright", "chat", "hi", "-m", "gguf:x.gguf"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "chatwright: xllamacpp is not installed; fix it with: pip install 'chatwright[gguf]'\n"
    )


def test_a_function_model_works_without_any_extra(installed, tmp_path):
    code = (
        "from chatwright import chat_model\n"
        "hello = chat_model(lambda messages: 'hello')\n"
        "print(hello.invoke('x').text, ''.join(c.text for c in hello.stream('x')))"
    )
    assert call(installed / "python", "-c", code, cwd=tmp_path) == "hello hello\n"
