import json

import pytest

from chatwright import Usage, chat_model
from chatwright.run.conversation import Conversation
from chatwright.testing import Pause, Raise, ScriptedModel


@chat_model
def count(messages):
    yield f"{len(messages)}: "
    yield messages[-1].text


def said(conversation, text):
    return "".join(chunk.text for chunk in conversation.ask(text))


def test_turns_add_up_below_the_system_message():
    conversation = Conversation(count, system="be kind")
    assert said(conversation, "a") == "2: a"
    assert said(conversation, "b") == "4: b"
    assert [each.type for each in conversation.messages] == ["system", *["human", "ai"] * 2]


def test_retry_asks_the_last_question_anew():
    conversation = Conversation(count)
    said(conversation, "a")
    assert "".join(chunk.text for chunk in conversation.retry()) == "1: a"
    assert len(conversation.turns) == 2
    with pytest.raises(ValueError, match="nothing to retry"):
        list(Conversation(count).retry())


def test_reset_keeps_the_system_message():
    conversation = Conversation(count, system="be kind")
    said(conversation, "a")
    conversation.reset()
    assert [each.type for each in conversation.messages] == ["system"]


def test_a_failed_answer_leaves_no_trace():
    conversation = Conversation(ScriptedModel(script=["half", Raise(KeyError("no"))]))
    with pytest.raises(KeyError):
        said(conversation, "a")
    assert conversation.turns == []


def test_an_answer_that_is_cut_short_is_kept_as_far_as_it_came():
    conversation = Conversation(ScriptedModel(script=["one ", "two ", "three"]))
    answer = conversation.ask("a")
    next(answer), next(answer)
    answer.close()
    assert conversation.turns[-1].text == "one two "
    assert conversation.turns[-1].type == "ai"


def test_what_an_answer_took_is_measured():
    script = [Pause(0.05), "a", Pause(0.05), "b", Usage(1, 10)]
    conversation = Conversation(ScriptedModel(script=script, price=(1, 1, "EUR")))
    said(conversation, "x")
    assert 0.04 < conversation.took.first_token < 0.5
    assert 1 < conversation.took.tokens_per_second <= 10 / 0.05
    assert conversation.took.cost["currency"] == "EUR"


def test_a_failed_retry_leaves_the_history_as_it_was():
    conversation = Conversation(count)
    said(conversation, "a")
    before = conversation.turns[:]
    conversation.model = ScriptedModel(script=[Raise(KeyError("no"))])
    with pytest.raises(KeyError):
        list(conversation.retry())
    assert conversation.turns == before


def test_a_rate_is_not_made_up_for_a_single_chunk():
    conversation = Conversation(ScriptedModel(script=["all at once", Usage(1, 1000)]))
    said(conversation, "x")
    assert conversation.took.tokens_per_second is None


def test_parameters_and_stop_go_with_every_call():
    model = ScriptedModel(script=["abc"])
    conversation = Conversation(model, parameters={"temperature": 0.5}, stop=["b"])
    assert said(conversation, "x") == "ab"
    assert model.requests[0].stop == ("b",)


def test_a_conversation_is_saved_in_openais_form(tmp_path):
    conversation = Conversation(count, system="be kind")
    said(conversation, "é")
    conversation.save(tmp_path / "talk.json")
    assert json.loads((tmp_path / "talk.json").read_text()) == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "é"},
        {"role": "assistant", "content": "2: é"},
    ]


def test_turns_share_a_thread_until_what_was_said_changes():
    seen = []

    @chat_model
    def told(messages, config):
        seen.append(config["configurable"]["thread_id"])
        if messages[-1].text == "fail":
            raise ValueError("no")
        return "Yes."

    conversation = Conversation(told)
    for ask in ("one", "two"):
        list(conversation.ask(ask))
    list(conversation.retry())
    list(conversation.ask("three"))
    conversation.system = "Be brief."
    list(conversation.ask("four"))
    with pytest.raises(ValueError, match="no"):
        list(conversation.ask("fail"))
    list(conversation.ask("five"))
    conversation.reset()
    list(conversation.ask("six"))
    one, two, again, three, four, failed, five, six = seen
    assert one == two
    assert again == three
    assert four == failed
    assert len({one, again, four, five, six}) == 5
