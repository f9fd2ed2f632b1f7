import asyncio
import json
import random
import threading
import time
from pathlib import Path

import pytest

from chatwright import (
    BatchError,
    ParameterError,
    Price,
    RateLimitError,
    SourceConnectionError,
    Usage,
    chat_model,
)
from chatwright.batch import arun_batch, run_batch


def lines(path):
    return [json.loads(each) for each in Path(path).read_bytes().splitlines()]


def by_id(path):
    read = lines(path)
    found = {each["id"]: each for each in read}
    assert len(found) == len(read), "an id stands there twice"
    return found


def counting(answer=str.upper):
    """Return a model that keeps what it was asked."""
    asked = []

    @chat_model
    async def model(messages):
        asked.append(messages[-1].text)
        return answer(messages[-1].text)

    return model, asked


def rows(*texts, **more):
    return [{"id": f"r{n}", "prompt": text, **more} for n, text in enumerate(texts)]


def test_each_row_has_its_answer(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    summary = run_batch(model, rows(*map(str, range(1000))), out)
    assert (summary.answers, summary.failed, summary.stopped) == (1000, 0, "")
    found = by_id(out)
    assert {name: each["text"] for name, each in found.items()} == {
        f"r{n}": str(n) for n in range(1000)
    }
    assert sorted(asked) == sorted(map(str, range(1000)))
    assert summary.failures is None
    one = found["r7"]
    assert one["attempts"] == 1
    assert one["seconds"] >= 0
    assert abs(one["started"] - time.time()) < 100


def test_nothing_is_asked_twice(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    run_batch(model, rows("a", "b"), out)
    summary = run_batch(model, rows("a", "b", "c"), out)
    assert sorted(asked) == ["a", "b", "c"]
    assert (summary.answers, summary.stats.found, summary.stats.done) == (3, 2, 1)


def test_rows_may_be_inserted_removed_and_moved_between_runs(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    first = rows(*"abcdef")
    run_batch(model, first, out)
    second = [{"id": "new", "prompt": "n"}, *reversed(first[2:]), {"id": "r0", "prompt": "other"}]
    run_batch(model, second, out)
    assert sorted(asked) == sorted([*"abcdef", "n", "other"])
    found = lines(out)
    assert sorted((each["id"], each["text"]) for each in found) == sorted(
        [*((f"r{n}", c.upper()) for n, c in enumerate("abcdef")), ("new", "N"), ("r0", "OTHER")]
    )


def test_equal_rows_are_asked_once_and_answered_each(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    same = [{"id": f"s{n}", "prompt": "same"} for n in range(2000)]
    summary = run_batch(model, [*same, {"id": "x", "prompt": "x"}], out)
    assert sorted(asked) == ["same", "x"]
    assert {each["text"] for name, each in by_id(out).items() if name != "x"} == {"SAME"}
    assert (summary.answers, summary.stats.copied) == (2001, 1999)
    run_batch(model, [{"id": "later", "prompt": "same"}], out)
    assert by_id(out)["later"]["text"] == "SAME"
    assert len(asked) == 2


def test_equal_rows_without_ids_have_a_result_each(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    run_batch(model, ["a", "b", "a"] * 500, out)
    assert sorted(asked) == ["a", "b"]
    assert sorted(each["text"] for each in by_id(out).values()) == ["A"] * 1000 + ["B"] * 500
    summary = run_batch(model, ["a", "b", "a"] * 501, out)
    assert len(asked) == 2
    assert summary.answers == 1503
    assert summary.stats.found == 1500
    assert len(by_id(out)) == 1503


def test_a_row_that_stands_there_twice_id_and_all_has_one_result(tmp_path):
    model, asked = counting()
    out = tmp_path / "out.jsonl"
    summary = run_batch(model, rows("a", "b") * 3, out)
    assert (summary.answers, summary.stats.repeated, len(asked)) == (2, 4, 2)


def test_bad_rows_fail_by_name_and_the_rest_goes_on(tmp_path):
    model, _ = counting()
    bad = [
        {"id": "number", "prompt": 7},
        {"id": "nothing", "prompt": None},
        {"id": "empty", "prompt": " "},
        {"id": "other", "a": 1, "b": 2},
        {"id": "role", "messages": [{"role": "nobody", "content": "x"}]},
        {"id": "two", "messages": [{"role": "user", "content": "x"}], "n": 2},
    ]
    out = tmp_path / "out.jsonl"
    summary = run_batch(model, [*rows("a"), *bad, {"id": "last", "prompt": "z"}], out)
    assert set(by_id(out)) == {"r0", "last"}
    failed = by_id(summary.failures)
    assert failed.keys() == {each["id"] for each in bad}
    assert "'prompt' is a number (7)" in failed["number"]["error"]["message"]
    assert "role" in failed["role"]["error"]["message"]
    assert failed["number"]["place"] == "row 2"
    again = run_batch(model, bad, out)
    assert (again.stats.found, again.failed) == (6, 6)


def test_an_input_of_nothing_but_bad_rows_stops_at_once(tmp_path):
    model, asked = counting()
    with pytest.raises(BatchError, match=r"none of the first 50 rows.*--prompt"):
        run_batch(model, [{"q": 1, "a": n} for n in range(50)], tmp_path / "o.jsonl")
    assert not asked
    assert not (tmp_path / "o.failures.jsonl").exists()


def test_failures_are_asked_again_only_when_told(tmp_path):
    broken = {"b"}

    @chat_model
    async def model(messages):
        if messages[-1].text in broken:
            raise ValueError("not this one")
        return messages[-1].text.upper()

    out = tmp_path / "out.jsonl"
    summary = run_batch(model, rows("a", "b", "c"), out)
    error = by_id(summary.failures)["r1"]["error"]
    assert error == {"type": "ValueError", "message": "not this one"}
    assert run_batch(model, rows("a", "b", "c"), out).stats.found == 3
    broken.clear()
    summary = run_batch(model, rows("a", "b", "c"), out, retry_failed=True)
    assert (summary.answers, summary.failed) == (3, 0)
    assert by_id(out)["r1"]["text"] == "B"
    assert by_id(tmp_path / "out.failures.before.jsonl")["r1"]


def test_what_may_pass_is_asked_again(tmp_path):
    random.seed(1)
    times = {}

    @chat_model
    async def model(messages):
        text = messages[-1].text
        times[text] = times.get(text, 0) + 1
        if times[text] < 3 and int(text) % 3 == 0:
            raise SourceConnectionError("it went away")
        return text

    out = tmp_path / "out.jsonl"
    summary = run_batch(model, rows(*map(str, range(30))), out)
    assert (summary.answers, summary.failed) == (30, 0)
    assert {each["attempts"] for name, each in by_id(out).items()} == {1, 3}


def test_calls_that_hang_are_given_up_and_asked_again(tmp_path):
    hung = set()

    @chat_model
    async def model(messages):
        text = messages[-1].text
        if text not in hung and int(text) % 4 == 0:
            hung.add(text)
            await asyncio.sleep(600)
        return text

    summary = run_batch(model, rows(*map(str, range(20))), tmp_path / "o.jsonl", timeout=0.3)
    assert (summary.answers, summary.failed) == (20, 0)


def test_a_side_that_lets_nobody_in_stops_the_run_and_no_row_is_lost(tmp_path):
    from chatwright import AuthenticationError

    shut = True

    @chat_model
    async def model(messages):
        if shut:
            raise AuthenticationError("no such key")
        return "ok"

    out = tmp_path / "o.jsonl"
    with pytest.raises(BatchError, match="no such key"):
        run_batch(model, rows(*map(str, range(500))), out)
    assert not (tmp_path / "o.failures.jsonl").exists()
    shut = False
    assert run_batch(model, rows(*map(str, range(500))), out).answers == 500


def test_a_busy_side_is_asked_less_and_no_row_fails(tmp_path):
    at_once = most = 0
    refused = 0

    @chat_model
    async def model(messages):
        nonlocal at_once, most, refused
        at_once += 1
        most = max(most, at_once)
        try:
            if at_once > 8:
                refused += 1
                error = RateLimitError("too many")
                error.retry_after = 0.02
                raise error
            await asyncio.sleep(0.002)
            return "ok"
        finally:
            at_once -= 1

    summary = run_batch(model, rows(*map(str, range(800))), tmp_path / "o.jsonl")
    assert (summary.answers, summary.failed) == (800, 0)
    assert refused
    assert most > 8


def test_models_without_async_code_are_asked_at_once_too(tmp_path):
    at_once, most, lock = 0, 0, threading.Lock()

    @chat_model
    def model(messages):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return "ok"

    run_batch(model, rows(*map(str, range(100))), tmp_path / "o.jsonl", concurrency=50)
    assert most > 10


@pytest.mark.parametrize("form", ["jsonl", "openai", "parquet"])
def test_every_format_resumes(tmp_path, form):
    model, asked = counting()
    out = tmp_path / ("out.parquet" if form == "parquet" else "out.jsonl")
    run_batch(model, rows(*"abc"), out, form=form)
    summary = run_batch(model, [*rows(*"abcd"), {"id": "e", "prompt": "a"}], out, form=form)
    assert (summary.answers, summary.stats.found) == (5, 3)
    assert sorted(asked) == [*"abcd"]


def test_openai_s_format_is_a_batch_output(tmp_path):
    from openai.types.chat import ChatCompletion

    @chat_model
    async def model(messages):
        if messages[-1].text == "fail":
            raise ValueError("no")
        yield "Hello"
        yield Usage(3, 1)

    body = {"model": "gpt-x", "messages": [{"role": "user", "content": "hi"}]}
    asked = [{"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}]
    bad = {**body, "messages": [{"role": "user", "content": "fail"}]}
    summary = run_batch(
        model, [*asked, {"custom_id": "two", "body": bad}], tmp_path / "o.jsonl", form="openai"
    )
    [one] = lines(tmp_path / "o.jsonl")
    assert one["custom_id"] == "one"
    assert one["error"] is None
    assert one["response"]["status_code"] == 200
    completion = ChatCompletion.model_validate(one["response"]["body"])
    assert completion.choices[0].message.content == "Hello"
    assert completion.usage.prompt_tokens == 3
    [two] = lines(summary.failures)
    assert (two["custom_id"], two["error"]["code"]) == ("two", "ValueError")


def test_another_job_is_refused_and_what_differs_is_said(tmp_path):
    model, _ = counting()
    out = tmp_path / "out.jsonl"
    run_batch(model, rows("a"), out, prompt="Say {prompt}", parameters={"temperature": 0})
    with pytest.raises(BatchError, match=r'prompt was "Say \{prompt\}" and is "Cry \{prompt\}"'):
        run_batch(model, rows("a"), out, prompt="Cry {prompt}", parameters={"temperature": 0})
    with pytest.raises(BatchError, match=r"parameters.temperature was 0 and is 1"):
        run_batch(model, rows("a"), out, prompt="Say {prompt}", parameters={"temperature": 1})
    same = {"prompt": "Say {prompt}", "parameters": {"temperature": 0}}
    with pytest.raises(BatchError, match=r"format was \"jsonl\" and is \"openai\""):
        run_batch(model, rows("a"), out, form="openai", **same)
    summary = run_batch(model, rows("b"), out, fresh=True)
    assert [each["text"] for each in lines(out)] == ["B"]
    assert summary.answers == 1


def test_a_file_that_is_no_batch_is_not_written_to(tmp_path):
    model, _ = counting()
    out = tmp_path / "precious.jsonl"
    out.write_text("mine\n")
    with pytest.raises(BatchError, match="no manifest"):
        run_batch(model, rows("a"), out)
    assert out.read_text() == "mine\n"


async def test_two_runs_on_one_output_refuse_each_other(tmp_path):
    began, go = asyncio.Event(), asyncio.Event()

    @chat_model
    async def model(messages):
        began.set()
        await go.wait()
        return "ok"

    first = asyncio.ensure_future(arun_batch(model, rows("a"), tmp_path / "o.jsonl"))
    await began.wait()
    with pytest.raises(BatchError, match="another run writes to"):
        await arun_batch(model, rows("a"), tmp_path / "o.jsonl")
    go.set()
    assert (await first).answers == 1
    assert (await arun_batch(model, rows("a"), tmp_path / "o.jsonl")).stats.found == 1


def test_a_budget_is_never_overrun_and_can_be_raised(tmp_path):
    spent = 0.0

    @chat_model(price=Price(1_000_000, 1_000_000))  # a dollar a token
    async def model(messages):
        nonlocal spent
        await asyncio.sleep(0.001)
        yield "x"
        spent += 3
        yield Usage(2, 1)

    out = tmp_path / "o.jsonl"
    asked = rows(*map(str, range(100)))
    options = {"parameters": {"max_tokens": 1}, "concurrency": 32}
    summary = run_batch(model, asked, out, budget=150, **options)
    assert summary.stopped == "the budget is spent"
    assert 0 < spent <= 150
    assert summary.answers == spent / 3
    assert summary.stats.cost == spent
    before = summary.answers
    summary = run_batch(model, asked, out, budget=240, **options)
    assert before < summary.answers <= 80
    assert run_batch(model, asked, out, **options).answers == 100
    assert spent == 300


def test_a_budget_that_can_t_be_kept_to_is_refused(tmp_path):
    model, asked = counting()
    with pytest.raises(BatchError, match="no price is known"):
        run_batch(model, rows("a"), tmp_path / "o.jsonl", budget=1)
    priced = model.model_copy(update={"price": Price(1, 1)})
    with pytest.raises(BatchError, match="--max-tokens"):
        run_batch(priced, rows("a"), tmp_path / "o.jsonl", budget=1)
    assert not asked


def test_the_input_s_order_on_request(tmp_path):
    @chat_model
    async def model(messages):
        await asyncio.sleep(random.random() / 100)
        return messages[-1].text

    out = tmp_path / "out.jsonl"
    run_batch(model, rows(*map(str, range(50))), out)
    moved = reversed(rows(*map(str, range(40))))
    again = [{"id": "first", "prompt": "f"}, *moved, {"id": "z", "prompt": "39"}]
    run_batch(model, again, out, ordered=True)
    names = [each["id"] for each in lines(out)]
    assert names[:42] == [each["id"] for each in again]
    assert sorted(names[42:]) == [f"r{n}" for n in range(40, 50)]
    assert run_batch(model, again, out).stats.found == 42


def test_a_schema_gives_values_and_what_does_not_conform_fails(tmp_path):
    @chat_model
    async def model(messages):
        is_good = any("good" in each.text for each in messages)
        return '{"n": 1}' if is_good else "I would rather not"

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    summary = run_batch(model, rows("good", "bad"), tmp_path / "o.jsonl", schema=schema)
    assert by_id(tmp_path / "o.jsonl")["r0"]["parsed"] == {"n": 1}
    assert by_id(summary.failures)["r1"]["error"]["type"] == "StructureError"


def test_an_agent_answers_rows_of_messages(tmp_path):
    from langchain.agents import create_agent
    from langchain_core.tools import tool

    from chatwright import ToolCallDelta

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @chat_model
    async def llm(messages, tools):
        if messages[-1].type == "tool":
            yield f"It is {messages[-1].text}."
        else:
            yield ToolCallDelta(0, id="c1", name="add", args='{"a": 2, "b": 3}')

    agent = create_agent(llm, [add])
    asked = [{"id": "q", "messages": [{"role": "user", "content": "2 + 3?"}]}]
    run_batch(agent, asked, tmp_path / "o.jsonl")
    assert by_id(tmp_path / "o.jsonl")["q"]["text"] == "It is 5."


def test_parameters_without_effect_are_told(tmp_path):
    model, _ = counting()
    body = {"messages": [{"role": "user", "content": "x"}], "logit_bias": {"1": 2}, "top_p": 0.5}
    summary = run_batch(model, [{"custom_id": "a", "body": body}], tmp_path / "o.jsonl")
    assert summary.stats.ignored == {"logit_bias": 1}


def test_options_that_there_are_not_are_refused(tmp_path):
    model, _ = counting()
    with pytest.raises(ParameterError, match="no option 'paralel'"):
        run_batch(model, [], tmp_path / "o.jsonl", paralel=3)
    with pytest.raises(ParameterError, match="form can be"):
        run_batch(model, [], tmp_path / "o.jsonl", form="xml")


def test_a_template_takes_columns(tmp_path):
    model, asked = counting()
    table = [{"id": "a", "lang": "French", "text": "{dog}"}, {"id": "b", "lang": None, "text": "x"}]
    summary = run_batch(model, table, tmp_path / "o.jsonl", prompt="Into {lang}: {text} {{}}")
    assert asked == ["Into French: {dog} {}"]
    assert "'lang' is empty" in by_id(summary.failures)["b"]["error"]["message"]
    with pytest.raises(ParameterError, match="can't be read"):
        run_batch(model, table, tmp_path / "o2.jsonl", prompt="{text.__class__!r}")


async def test_a_loop_that_runs_is_told_of_the_async_twin(tmp_path):
    model, _ = counting()
    with pytest.raises(BatchError, match="arun_batch"):
        run_batch(model, [], tmp_path / "o.jsonl")


def test_stop_sequences_end_answers_and_stand_in_none(tmp_path):
    model, _ = counting(lambda text: f"{text} HALT more")
    asked = [*rows("a"), {"id": "own", "messages": [{"role": "user", "content": "b"}], "stop": "b"}]
    run_batch(model, asked, tmp_path / "o.jsonl", parameters={"stop": ["HALT"]})
    found = by_id(tmp_path / "o.jsonl")
    assert found["r0"]["text"] == "a "
    assert found["own"]["text"] == ""


def test_failures_of_rows_that_are_gone_are_set_aside(tmp_path):
    model, _ = counting()
    out = tmp_path / "out.jsonl"
    summary = run_batch(model, [*rows("a", "b"), {"id": "x", "prompt": 3}, {"id": "y"}], out)
    assert summary.failed == 2
    summary = run_batch(model, [*rows("a", "b"), {"id": "x", "prompt": "3"}], out, limit=1)
    assert summary.failed == 2
    summary = run_batch(model, [*rows("a", "b"), {"id": "x", "prompt": "3"}], out)
    assert (summary.answers, summary.failed, summary.failures) == (3, 0, None)
    assert not (tmp_path / "out.failures.jsonl").exists()
    assert by_id(tmp_path / "out.failures.before.jsonl").keys() == {"x", "y"}
    again = run_batch(model, [*rows("a", "b"), {"id": "y"}], out)
    assert again.failed == 1


def test_the_input_is_no_output_whatever_it_is_called(tmp_path):
    model, asked = counting()
    table = tmp_path / "in.jsonl"
    table.write_text('{"prompt": "a"}\n')
    (tmp_path / "link.jsonl").symlink_to(table)
    for fresh in (False, True):
        for name in ("in.jsonl", "link.jsonl"):
            with pytest.raises(BatchError, match="name another output"):
                run_batch(model, table, tmp_path / name, fresh=fresh)
    assert table.read_text() == '{"prompt": "a"}\n'
    assert not asked


def test_rows_are_asked_as_they_come(tmp_path):
    came = threading.Event()

    @chat_model
    async def model(messages):
        came.set()
        return "ok"

    def slow():
        yield {"id": "a", "prompt": "a"}
        assert came.wait(30)
        yield {"id": "b", "prompt": "b"}

    assert run_batch(model, slow(), tmp_path / "o.jsonl").answers == 2


def test_what_can_not_be_read_on_comes_after_what_came_before(tmp_path):
    model, asked = counting()

    def torn():
        yield from rows("a", "b")
        raise OSError("the disk is gone")

    for source in (torn(), Torn(torn)):
        with pytest.raises(OSError, match="the disk is gone"):
            run_batch(model, source, tmp_path / "o.jsonl")
        assert by_id(tmp_path / "o.jsonl").keys() == {"r0", "r1"}
    assert sorted(asked) == ["a", "b"]


class Torn:
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return self.rows()


def test_half_a_character_harms_its_own_row_alone(tmp_path):
    model, _ = counting(lambda text: "x \ud83d y" if text == "b" else text.upper())
    table = tmp_path / "in.jsonl"
    table.write_text(
        '{"id": "a", "prompt": "a"}\n{"id": "s", "prompt": "\\ud83d"}\n{"id": "b", "prompt": "b"}\n'
    )
    summary = run_batch(model, table, tmp_path / "o.jsonl")
    found = by_id(tmp_path / "o.jsonl")
    assert found["a"]["text"] == "A"
    assert found["b"]["text"] == "x \ufffd y"
    assert "surrogate" in by_id(summary.failures)["s"]["error"]["message"]


def test_an_answer_that_json_can_not_hold_is_its_row_s_failure(tmp_path):
    from langchain_core.messages import AIMessage

    @chat_model
    async def model(messages):
        if messages[-1].text == "b":
            return AIMessage("", tool_calls=[{"name": "t", "args": {"x": object()}, "id": "1"}])
        return "ok"

    summary = run_batch(model, rows("a", "b", "c"), tmp_path / "o.jsonl")
    assert (summary.answers, summary.failed) == (2, 1)


def test_a_link_stays_one(tmp_path):
    model, _ = counting()
    (tmp_path / "disk").mkdir()
    out = tmp_path / "out.jsonl"
    out.symlink_to("disk/out.jsonl")
    run_batch(model, rows(*"abc"), out, ordered=True)
    assert out.is_symlink()
    assert [each["id"] for each in lines(tmp_path / "disk" / "out.jsonl")] == ["r0", "r1", "r2"]


def test_faults_of_the_other_side_are_asked_again_so_often_and_429_as_often_as_it_takes(tmp_path):
    times = {"a": 0, "b": 0}

    @chat_model
    async def model(messages):
        text = messages[-1].text
        times[text] += 1
        error = RateLimitError("busy")
        error.retry_after = 0.01
        error.status = 503 if text == "a" else 429
        if text == "a" or times[text] < 8:
            raise error
        return "ok"

    summary = run_batch(model, rows("a", "b"), tmp_path / "o.jsonl", max_retries=2)
    assert times == {"a": 3, "b": 8}
    assert (summary.answers, summary.failed) == (1, 1)
