import pickle

import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel

from chatwright import ChatCommand, ChatEndpoint, ChatGGUF, LoadError, WeightsError, load
from chatwright.wrap.gguf.weights import find
from chatwright.wrap.load import available
from wrap.decorated import shout


def test_a_name_loads_the_embedded_model():
    model = load("smollm2", temperature=0.1)
    assert isinstance(model, ChatGGUF)
    assert (model.model_name, model.temperature, model.repeat_penalty) == ("smollm2", 0.1, 1.05)


@pytest.mark.parametrize("form", ["gguf:{}", "{}"])
def test_a_path_loads_a_gguf_file(form):
    model = load(form.format(find("smollm2")))
    assert isinstance(model, ChatGGUF)
    assert model.model_name == "SmolLM2-135M-Instruct.Q4_1"
    assert model.engine is load("smollm2").engine


def test_an_attribute_of_a_module_is_loaded():
    assert load("wrap.decorated:shout") is shout
    assert load("wrap.decorated:shout", temperature=0.9).temperature == 0.9
    assert load("wrap.decorated:plain").invoke("x").text == "plain"
    fake = load("langchain_core.language_models:FakeListChatModel", responses=["hi"])
    assert isinstance(fake.runnable, FakeListChatModel)
    assert isinstance(
        load("chatwright:CustomChatModelAdvanced", n=1, model_name="m"), BaseChatModel
    )


@pytest.mark.parametrize(
    ("string", "says"),
    [
        ("nonsense", "'nonsense' names no model; it can be smollm2"),
        ("", "names no model"),
        (":x", "names no model"),
        ("no_such_module:x", "can't import 'no_such_module'"),
        ("wrap.decorated:nothing", "is not there"),
        ("wrap.decorated:number", "is 3"),
        ("wrap.decorated:Holder", "no chat model"),
        ("acme.toml", "can't be read"),
        ("hf:nobody", "hf:owner/repo/file.gguf"),
    ],
)
def test_a_string_that_names_nothing_says_what_would(string, says):
    with pytest.raises(LoadError, match=says):
        load(string)


def test_a_missing_file_is_named():
    with pytest.raises(WeightsError, match=r"no/such/file\.gguf"):
        load("gguf:no/such/file.gguf")


def test_what_is_available_is_told():
    names = {name: state for name, _, state in available()}
    assert names["smollm2"] == "installed"
    assert names["gguf:PATH"] == "ready"


def test_an_address_is_an_endpoint():
    model = load("http://me:pw-pw@localhost:8000/v1/?k=v#tiny", temperature=0.5)
    assert isinstance(model, ChatEndpoint)
    assert (model.base_url, model.model_name) == ("http://localhost:8000/v1", "tiny")
    assert "pw-pw" not in repr(model)


def test_a_models_one_obvious_argument_comes_first():
    by_name = ChatGGUF(model_path="smollm2")
    for model in (
        ChatGGUF("smollm2"),
        ChatGGUF(model="smollm2"),
        ChatGGUF("smollm2", model="mine"),
        ChatGGUF(model_path="smollm2", model="mine"),
    ):
        assert model.engine is by_name.engine
        assert model.repeat_penalty == 1.05
        assert model.model_name in {"smollm2", "mine"}
        assert pickle.loads(pickle.dumps(model)) == model
    assert ChatGGUF("smollm2", model="mine").model_name == "mine"
    assert ChatGGUF(find("smollm2")).model_path == str(find("smollm2"))
    with pytest.raises(ValueError, match="model_path"):
        ChatGGUF()
    endpoint = ChatEndpoint("http://localhost:8000/v1", model="tiny")
    assert endpoint == ChatEndpoint(base_url="http://localhost:8000/v1", model="tiny")
    with pytest.raises(ValueError, match="base_url"):
        ChatEndpoint()
    assert ChatCommand(["cat"]) == ChatCommand(command=["cat"])
