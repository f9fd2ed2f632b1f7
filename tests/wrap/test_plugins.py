"""What installed packages add, by their entry points: the metadata that installers write."""

import sys
import textwrap

import pytest
from typer.testing import CliRunner

from chatwright import ChatEndpoint, LoadError, load
from chatwright.checks import rulebook
from chatwright.cli import app
from chatwright.wires import wire_named

WIRED = """
    import dataclasses
    from chatwright.wires import WIRES

    def write(ask):
        return WIRES["openai"].write(ask)._replace(url=f"{ask.base_url}/acme/chat")

    wire = dataclasses.replace(WIRES["openai"], name="acme", path="/acme/chat", write=write)
    no_wire = "text"
    """
MODELS = """
    from chatwright import chat_model

    @chat_model
    def shout(messages, *, temperature: float = 0.0):
        return messages[-1].text.upper()
    """


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages as pip leaves them: modules beside a .dist-info folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(name, entry_points, **modules):
        wire_named.cache_clear()
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
            sys.modules.pop(module, None)

    return add


def test_a_registered_model_is_loaded_by_its_name(install):
    install("langchain-acme", "[chatwright.models]\nacme = acme_models:shout\n", acme_models=MODELS)
    assert load("acme").invoke("hi").text == "HI"
    assert load("acme", temperature=0.5).temperature == 0.5
    told = CliRunner().invoke(app, ["models"]).output
    assert "acme_models:shout, of langchain-acme 1.2" in told


def test_a_broken_one_is_named_and_the_others_work(install):
    told = "[chatwright.models]\nacme = acme_models:shout\nlost = acme_models:lost\n"
    install("langchain-acme", told, acme_models=MODELS)
    with pytest.raises(LoadError, match=r"'lost' of langchain-acme 1\.2 can't be loaded: .*lost"):
        load("lost")
    listed = CliRunner().invoke(app, ["models"])
    assert listed.exit_code == 0
    [line] = [each for each in listed.output.splitlines() if each.startswith("lost")]
    assert "broken: " in line
    assert load("acme").invoke("hi").text == "HI"


def test_two_of_one_name_are_told_apart_by_their_place(install):
    install("langchain-acme", "[chatwright.models]\nacme = acme_models:shout\n", acme_models=MODELS)
    install("acme-again", "[chatwright.models]\nacme = acme_again:shout\n", acme_again=MODELS)
    ways = r"acme_again:shout \(acme-again 1\.2\) or acme_models:shout \(langchain-acme"
    says = f"several packages have registered 'acme': {ways}"
    with pytest.raises(LoadError, match=says):
        load("acme")
    assert load("acme_again:shout").invoke("hi").text == "HI"


def test_our_own_names_come_first_and_unknown_ones_say_what_there_is(install):
    told = "[chatwright.models]\nsmollm2 = acme_models:shout\n"
    install("langchain-acme", told, acme_models=MODELS)
    assert "hidden" in CliRunner().invoke(app, ["models"]).output
    with pytest.raises(LoadError, match="'smol' names no model; it can be smollm2, "):
        load("smol")


def test_a_registered_wire_is_spoken(install, httpserver):
    install("acme-wire", "[chatwright.wires]\nacme = acme_wire:wire\n", acme_wire=WIRED)
    choice = {"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}
    httpserver.expect_request("/acme/chat").respond_with_json({"choices": [choice]})
    model = ChatEndpoint(base_url=httpserver.url_for(""), wire="acme", model="m", streaming=False)
    assert model.invoke("x").text == "hello"
    with pytest.raises(ValueError, match=r"no wire 'acne'; there are openai, .*, acme"):
        ChatEndpoint(base_url="http://127.0.0.1:1", wire="acne")


@pytest.mark.parametrize(
    ("name", "says"),
    [("lost", r"'acme' of acme-wire 1\.2 can't be loaded"), ("no_wire", "is 'text', and no Wire")],
)
def test_a_wire_that_is_broken_is_an_error_that_names_its_package(install, name, says):
    install("acme-wire", f"[chatwright.wires]\nacme = acme_wire:{name}\n", acme_wire=WIRED)
    with pytest.raises(ValueError, match=says):
        ChatEndpoint(base_url="http://127.0.0.1:1", wire="acme")


def test_broken_rules_are_named_and_the_others_are_checked(install, monkeypatch):
    install("polite", "[chatwright.rules]\npolite = polite_rules\n")
    rulebook._found.cache_clear()
    with pytest.warns(UserWarning, match=r"polite 1\.2 is broken: .*'polite_rules'"):
        found = rulebook.rules()
    assert found
    rulebook._found.cache_clear()
