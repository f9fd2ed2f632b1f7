"""A chat model whose class makes what is inside."""

import pickle

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda

from chatwright import ChatRunnable, DefinitionError


class Parrot(ChatRunnable):
    word: str = "hello"

    def make(self):
        word = self.word
        return RunnableLambda(lambda _: AIMessage(word))


def said(model):
    return model.invoke("Say something.").text


def test_it_is_made_of_the_fields_and_made_anew_where_they_change():
    model = Parrot(word="aye")
    assert said(model) == "aye"
    assert said(model.model_copy(update={"word": "no"})) == "no"
    model.word = "yes"
    assert said(model) == "yes"
    configured = model.configurable_fields(word=ConfigurableField("word"))
    assert said(configured.with_config(configurable={"word": "perhaps"})) == "perhaps"


def test_it_is_neither_pickled_nor_stored_but_made_again():
    model = Parrot(word="aye", max_retries=3)
    assert said(model) == "aye"
    stored = dumpd(model)
    assert "runnable" not in stored["kwargs"]
    again = load(stored, allowed_objects=[Parrot], valid_namespaces=Parrot.get_lc_namespace()[:1])
    for copied in (pickle.loads(pickle.dumps(model)), again):
        assert (said(copied), copied.max_retries) == ("aye", 3)


def test_what_is_given_comes_first():
    assert said(Parrot(RunnableLambda(lambda _: AIMessage("mine")))) == "mine"


def test_nothing_inside_is_an_error_that_says_what_to_do():
    with pytest.raises(DefinitionError, match="nothing inside; give it a runnable"):
        ChatRunnable()
