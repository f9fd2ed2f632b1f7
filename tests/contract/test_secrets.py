import copy
import logging
import pickle

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load

from chatwright import CustomChatModelAdvanced
from chatwright.checks.calls.modes import Recorder
from chatwright.testing import Raise, ScriptedModel
from contract.subjects import MODES

CANARY = "sk-canary-17"


async def test_K1_no_secret_is_shown_anywhere(subject, caplog):
    caplog.set_level(logging.DEBUG)
    cache = InMemoryCache()
    model, recorder = subject.make(api_key=CANARY, cache=cache), Recorder()
    config = {"callbacks": [recorder]}
    for mode in MODES.values():
        await mode(model, subject.prompt, config)
    shown = [
        repr(model),
        str(model),
        dumps(model),
        repr(dumpd(model)),
        repr(recorder.calls),
        caplog.text,
        repr(cache._cache),
        model._get_llm_string(),
        repr(model._identifying_params),
        repr(model._get_ls_params()),
    ]
    assert not [each for each in shown if CANARY in each]


async def test_K1_no_secret_is_in_an_error(mode):
    model = ScriptedModel(script=[Raise(TimeoutError("late"))], api_key=CANARY)
    with pytest.raises(TimeoutError) as caught:
        await mode(model, "x")
    assert CANARY not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)


def test_K1_no_secret_is_in_a_validation_error(subject):
    for wrong in ({"temperature": "hot"}, {"api_kee": CANARY}):
        with pytest.raises(ValueError) as caught:
            subject.make(**{"api_key": CANARY, **wrong})
        assert CANARY not in str(caught.value)
    with pytest.raises(ValueError) as caught:
        CustomChatModelAdvanced(api_key=CANARY)
    assert CANARY not in str(caught.value)


def test_K2_the_key_may_come_from_the_environment(subject, monkeypatch):
    monkeypatch.setenv("CHATWRIGHT_API_KEY", CANARY)
    assert subject.make().api_key.get_secret_value() == CANARY
    assert CANARY not in dumps(subject.make())


def test_K3_a_serialized_model_loads_as_it_was(subject):
    model = subject.make(temperature=0.25, stop=["###"], price=(1.0, 2.0, "EUR"))
    model.custom_get_token_ids = None
    cls = type(model)
    again = load(dumpd(model), allowed_objects=[cls], valid_namespaces=[cls.get_lc_namespace()[0]])
    assert type(again) is cls
    assert again == model
    assert again.invoke(subject.prompt).text == model.invoke(subject.prompt).text


def test_K3_a_key_is_loaded_by_its_environment_variables_name():
    model = CustomChatModelAdvanced(n=3, model_name="m", api_key=CANARY)
    data = dumpd(model)
    assert data["kwargs"]["api_key"]["id"] == ["CHATWRIGHT_API_KEY"]
    again = load(
        data,
        allowed_objects=[type(model)],
        valid_namespaces=["chatwright"],
        secrets_map={"CHATWRIGHT_API_KEY": CANARY},
    )
    assert again == model


async def test_K4_a_used_model_pickles_and_copies(subject, mode):
    model = subject.make(api_key=CANARY)
    assert (await mode(model, subject.prompt)).text == subject.text
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy(model),
        model.model_copy(),
        model.model_copy(deep=True),
    ]
    for each in copies:
        assert each == model
        assert (await mode(each, subject.prompt)).text == subject.text
