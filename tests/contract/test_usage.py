import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler

from chatwright import CostCallbackHandler, Price, Reasoning, Usage, chat_model
from chatwright.testing import ScriptedModel
from contract.subjects import SMOLLM2, TEXT, characters, total

COUNTS = ("input_tokens", "output_tokens", "total_tokens")


async def test_U1_usage_is_there_by_default_as_integers(subject, mode):
    usage = (await mode(subject.make(), subject.prompt)).usage_metadata
    assert [type(usage[key]) for key in COUNTS] == [int, int, int]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


async def test_U2_the_total_is_the_sum(subject, mode):
    usage = (await mode(subject.make(), subject.prompt)).usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_U3_exactly_one_chunk_carries_all_usage(subject):
    model = subject.make()
    for chunks in (
        list(model.stream(subject.prompt)),
        [each async for each in model.astream(subject.prompt)],
    ):
        carrying = [each for each in chunks if each.usage_metadata]
        assert carrying == [chunks[-1]]
        assert carrying[0].usage_metadata == total(chunks).usage_metadata


async def test_U4_details_never_exceed_totals(subject, mode):
    usage = (await mode(subject.make(), subject.prompt)).usage_metadata
    assert sum(usage.get("input_token_details", {}).values()) <= usage["input_tokens"]
    assert sum(usage.get("output_token_details", {}).values()) <= usage["output_tokens"]


async def test_U5_the_usage_handler_keys_by_the_exact_model_name(subject, mode):
    handler = UsageMetadataCallbackHandler()
    model = subject.make(model_name="my/model:1")
    answer = await mode(model, subject.prompt, {"callbacks": [handler]})
    assert [*handler.usage_metadata] == ["my/model:1"]
    assert (
        handler.usage_metadata["my/model:1"]["total_tokens"]
        == (answer.usage_metadata["total_tokens"])
    )


async def test_U6_nothing_is_invented_where_nothing_is_known(mode):
    @chat_model
    def mute(messages):
        return TEXT

    answer = await mode(mute, "x")
    assert answer.usage_metadata is None
    assert "cost" not in answer.response_metadata
    assert "usage_estimated" not in answer.response_metadata


async def test_U6_an_estimate_says_so(mode):
    model = ScriptedModel(script=["abc"], custom_get_token_ids=lambda text: [*text.encode()])
    answer = await mode(model, "hello")
    assert answer.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert answer.response_metadata["usage_estimated"] is True
    thinks = ScriptedModel(script=[Reasoning("hm"), "abc"], custom_get_token_ids=characters)
    assert (await mode(thinks, "hello")).usage_metadata["output_tokens"] == 5
    told = ScriptedModel(script=["abc", Usage(1, 2)])
    assert "usage_estimated" not in (await mode(told, "hello")).response_metadata
    guessed = ScriptedModel(script=["abc", Usage(1, 2, estimated=True)])
    assert (await mode(guessed, "hello")).response_metadata["usage_estimated"] is True


async def test_a_price_gives_a_cost_in_every_mode(mode):
    model = ScriptedModel(script=["a", Usage(1000, 10)], price=Price(2.0, 8.0, "EUR"))
    cost = (await mode(model, "x")).response_metadata["cost"]
    assert cost == {
        "input": pytest.approx(0.002),
        "output": pytest.approx(0.00008),
        "total": pytest.approx(0.00208),
        "currency": "EUR",
    }


async def test_a_known_name_finds_its_price(mode):
    model = ScriptedModel(script=["a", Usage(1000, 100)], model_name="gpt-4o")
    cost = (await mode(model, "x")).response_metadata["cost"]
    assert cost["currency"] == "USD"
    assert cost["total"] == pytest.approx(cost["input"] + cost["output"]) != 0
    unknown = ScriptedModel(script=["a", Usage(1000, 100)], model_name="nobody-knows-me")
    assert "cost" not in (await mode(unknown, "x")).response_metadata


async def test_the_cost_handler_sums_per_model(mode):
    handler = CostCallbackHandler()
    config = {"callbacks": [handler]}
    one = ScriptedModel(script=["a", Usage(10, 10)], model_name="one", price=(1, 1))
    two = ScriptedModel(script=["a", Usage(5, 5)], model_name="two", price=(1, 1, "EUR"))
    for model in (one, one, two):
        await mode(model, "x", config)
    assert handler.usage_metadata["one"]["total_tokens"] == 40
    assert handler.costs == {
        "one": {"USD": pytest.approx(40e-6)},
        "two": {"EUR": pytest.approx(10e-6)},
    }


async def test_cached_answers_cost_nothing(mode):
    handler = CostCallbackHandler()
    model = ScriptedModel(script=["a", Usage(1, 1)], price=(1, 1), cache=InMemoryCache())
    for _ in range(3):
        model.invoke("x", {"callbacks": [handler]})
    assert handler.costs == {"ScriptedModel": {"USD": pytest.approx(2e-6)}}


async def test_counts_that_make_no_sense_break_no_answer(mode):
    script = ["text", Usage(5, 1, {"cache_read": 10})]
    answer = await mode(ScriptedModel(script=script, model_name="gpt-4o"), "x")
    assert answer.text == "text"
    assert "cost" not in answer.response_metadata


def test_weights_of_ones_own_have_no_price_by_their_name():
    model = SMOLLM2(model_name="gpt-4o", max_tokens=1)
    assert "cost" not in model.invoke("hi").response_metadata
    assert SMOLLM2(price=(1, 1), max_tokens=1).invoke("hi").response_metadata["cost"]


async def test_gguf_counts_cached_tokens_and_measures(mode):
    model = SMOLLM2()
    model.invoke("Say one two three.")
    again = await mode(model, "Say one two three.")
    assert again.usage_metadata["input_token_details"]["cache_read"] > 0
    timings = again.response_metadata["timings"]
    assert timings["first_token_ms"] > 0
    assert timings["tokens_per_second"] > 0
