import asyncio
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatwright import BatchError, ChatEndpoint, LoadError, Price, chat_model
from chatwright.batch import prepared, run_batch
from chatwright.cli import app
from run.batch.providers import KEY, Provider

WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("CHATWRIGHT_API_KEY", KEY)
    monkeypatch.setattr("chatwright.run.batch.pace._FIRST_WAIT", 0.01)


def lines(path):
    return [json.loads(each) for each in Path(path).read_bytes().splitlines()]


def texts(path):
    read = lines(path)
    found = {each["id"]: each["text"] for each in read}
    assert len(found) == len(read), "an id stands there twice"
    return found


def rows(*names):
    return [{"id": f"r-{name}", "prompt": str(name)} for name in names]


def again(model, asked, out, **options):
    """Run the same call until nothing is out, or it stops; return the last summary."""
    for _ in range(12):
        summary = run_batch(model, asked, out, via="provider", **options)
        options |= {"fresh": False, "retry_failed": False}
        if not summary.out or summary.stopped:
            return summary
    raise AssertionError(summary.stats.batches)


def folder(tmp_path):
    return sorted(each.name for each in tmp_path.iterdir())


@WIRES
def test_rows_are_handed_in_and_collected_later(tmp_path, wire):
    out = tmp_path / "o.jsonl"
    with Provider(wire) as provider:
        first = run_batch(provider.url, rows(*"abca"), out, via="provider")
        assert (first.out, first.answers, first.stopped) == (3, 0, "")
        assert "0 of 3 rows" in first.stats.batches[0]
        assert not [*tmp_path.rglob("*.requests.jsonl")]
        manifest = json.loads((tmp_path / "o.manifest.json").read_text())
        assert manifest["runs"][0]["outcome"] == "out"
        assert provider.batches[0]["told"]["id"] in manifest["runs"][0]["batches"][0]
        asked = [*rows(*"abc"), {"id": "again", "prompt": "a"}]
        summary = again(provider.url, asked, out)
        assert (summary.answers, summary.failed, summary.stats.copied) == (4, 0, 1)
        assert texts(out) == {"r-a": "A", "r-b": "B", "r-c": "C", "again": "A"}
        assert provider.asked() == {"a": 1, "b": 1, "c": 1}
        assert folder(tmp_path) == ["o.jsonl", "o.lock", "o.manifest.json"]
        one = lines(out)[0]
        assert one["usage"]["input_tokens"] == 10
        assert abs(one["started"] - time.time()) < 100
        seen = len(provider.requests)
        assert run_batch(provider.url, asked, out, via="provider").stats.found == 4
        assert len(provider.requests) == seen


@pytest.mark.parametrize("form", ["jsonl", "openai", "parquet"])
def test_answers_are_those_of_rows_that_are_asked_here(tmp_path, form):
    suffix = "parquet" if form == "parquet" else "jsonl"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with Provider(answer=lambda body: '{"n": 1}') as provider:
        there = tmp_path / f"there.{suffix}"
        options = {"form": form, "schema": schema, "system": "Be brief.", "prompt": "Q: {prompt}"}
        summary = again(provider.url, rows("a", "b"), there, **options)
        assert (summary.answers, summary.failed) == (2, 0)
        body = next(iter(provider.batches[0]["bodies"].values()))
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert body["messages"][1]["content"].startswith("Q: ")
        assert body["response_format"]["json_schema"]["schema"]["required"] == ["n"]
        # By the same keys: what one way has done, the other one finds.
        summary = run_batch(provider.url, rows("a", "b"), there, **options)
        assert (summary.stats.found, summary.stats.done) == (2, 0)


def test_custom_ids_tell_nothing_of_the_user_s(tmp_path):
    with Provider() as provider:
        run_batch(provider.url, [{"id": "jane.doe", "prompt": "x"}], tmp_path / "o", via="provider")
        [key] = provider.batches[0]["bodies"]
        assert len(bytes.fromhex(key)) == 16
        assert b"jane" not in b"".join(provider.files.values())


@WIRES
def test_batches_are_split_at_the_provider_s_limits(tmp_path, wire, monkeypatch):
    import dataclasses

    from chatwright.wires import batches

    with Provider(wire) as provider:
        provider.rows, provider.size = 3, 1500
        small = dataclasses.replace(batches.BATCHES[wire], rows=3, size=1200)
        monkeypatch.setattr(batches, "BATCHES", batches.BATCHES | {wire: small})
        monkeypatch.setattr("chatwright.wrap.endpoint.batches.BATCHES", batches.BATCHES)
        asked = rows(*range(7), "x" * 900, "y" * 5000)
        summary = again(provider.url, asked, tmp_path / "o.jsonl")
        assert (summary.answers, summary.failed) == (8, 1)
        sizes = [len(each["bodies"]) for each in provider.batches]
        assert max(sizes) == 3
        assert sum(sizes) == 8
        [failure] = lines(summary.failures)
        assert failure["id"].startswith("r-yyy")
        assert "and a batch 1200" in failure["error"]["message"]


def test_the_limits_are_the_providers():
    from chatwright.wires.batches import BATCHES

    assert (BATCHES["openai"].rows, BATCHES["openai"].size) == (50_000, 200_000_000)
    assert (BATCHES["anthropic"].rows, BATCHES["anthropic"].size) == (100_000, 256_000_000)


@WIRES
def test_rows_that_fail_say_why_and_those_that_may_pass_go_out_again(tmp_path, wire):
    times = {}

    def answer(body):
        text = body["messages"][-1]["content"]
        times[text] = times.get(text, 0) + 1
        if text == "bad":
            return "error", 400, "this prompt is none"
        if times[text] == 1:
            return {
                "busy": ("error", 500, "overloaded"),
                "late": "expired",
                "lost": "missing",
            }.get(text, text.upper())
        return text.upper()

    out = tmp_path / "o.jsonl"
    with Provider(wire, answer) as provider:
        summary = again(provider.url, rows("a", "bad", "busy", "late", "lost"), out)
        assert texts(out) == {"r-a": "A", "r-busy": "BUSY", "r-late": "LATE", "r-lost": "LOST"}
        [failure] = lines(summary.failures)
        assert "this prompt is none" in failure["error"]["message"]
        assert failure["error"]["status"] == 400
        assert provider.asked() == {"a": 1, "bad": 1, "busy": 2, "late": 2, "lost": 2}
        assert {each["id"]: each["attempts"] for each in lines(out)}["r-late"] == 2
        before = len(provider.batches)
        run_batch(provider.url, rows("bad"), out, via="provider")
        assert len(provider.batches) == before
        again(provider.url, rows("bad"), out, retry_failed=True)
        assert provider.asked()["bad"] == 2


@WIRES
def test_rows_that_always_expire_fail_in_the_end(tmp_path, wire):
    with Provider(wire, lambda body: "expired") as provider:
        summary = again(provider.url, rows("a"), tmp_path / "o.jsonl", max_retries=2)
        assert provider.asked() == {"a": 3}
        [failure] = lines(summary.failures)
        assert failure["error"]["type"] == "BatchExpired"


def test_an_expired_batch_keeps_what_it_has_and_the_rest_goes_out_again(tmp_path):
    late = {"b", "c"}

    def answer(body):
        text = body["messages"][-1]["content"]
        return "expired" if text in late else text.upper()

    with Provider(answer=answer) as provider:
        provider.ends = ["expired", "completed"]
        out = tmp_path / "o.jsonl"
        run_batch(provider.url, rows(*"abc"), out, via="provider")
        while len(provider.batches) < 2:
            summary = run_batch(provider.url, rows(*"abc"), out, via="provider")
        assert (summary.answers, summary.out) == (1, 2)
        late.clear()
        assert again(provider.url, rows(*"abc"), out).answers == 3
        assert provider.asked() == {"a": 1, "b": 2, "c": 2}


@WIRES
def test_a_batch_that_somebody_cancels_is_told_and_not_asked_again(tmp_path, wire):
    def answer(body):
        text = body["messages"][-1]["content"]
        return "cancelled" if text == "b" else text.upper()

    out = tmp_path / "o.jsonl"
    with Provider(wire, answer) as provider:
        run_batch(provider.url, rows("a", "b"), out, via="provider")
        batch = provider.batches[0]
        batch["end"] = "cancelled"
        batch["told"]["status"] = "cancelling"
        batch["told"]["processing_status"] = "canceling"
        summary = again(provider.url, rows("a", "b"), out)
        assert texts(out) == {"r-a": "A"}
        [failure] = lines(summary.failures)
        assert failure["error"]["type"] == "BatchCancelled"
        if wire == "openai":
            assert "1 of its 2 rows have no answer" in summary.stats.notes[0]
        assert len(provider.batches) == 1


def test_a_batch_that_is_refused_for_some_lines_fails_those_and_asks_the_rest(tmp_path):
    with Provider() as provider:
        provider.problems = [{"code": "invalid_url", "message": "no such model", "line": 2}]
        out = tmp_path / "o.jsonl"
        summary = again(provider.url, rows("a", "b", "c"), out)
        assert (summary.answers, summary.failed) == (2, 1)
        [failure] = lines(summary.failures)
        assert "no such model" in failure["error"]["message"]
        assert sorted(provider.asked().values()) == [1, 2, 2]
        assert {each["attempts"] for each in lines(out)} == {1}


def test_a_batch_that_is_refused_as_a_whole_stops_the_run_and_loses_nothing(tmp_path):
    with Provider() as provider:
        provider.problems = [{"code": "billing_hard_limit_reached", "message": "pay", "line": None}]
        out = tmp_path / "o.jsonl"
        run_batch(provider.url, rows("a"), out, via="provider")
        with pytest.raises(BatchError, match=r"refuses batch batch_0: pay \(billing"):
            run_batch(provider.url, rows("a"), out, via="provider")
        assert again(provider.url, rows("a"), out).answers == 1


def test_a_queue_that_is_full_is_waited_for_or_filled_with_less(tmp_path):
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
    with Provider() as provider:
        out = tmp_path / "o.jsonl"
        run_batch(provider.url, rows(*range(8)), out, via="provider")
        provider.problems = [full]
        run_batch(provider.url, rows(*range(8)), out, via="provider")
        assert [len(each["bodies"]) for each in provider.batches] == [8, 4, 4]
        provider.problems = [full]  # of the second; the third is out, and its end is waited for
        run_batch(provider.url, rows(*range(8)), out, via="provider")
        assert len(provider.batches) == 3
        assert again(provider.url, rows(*range(8)), out).answers == 8


@WIRES
@pytest.mark.parametrize("fault", [429, 503, "lost", "cut"])
@pytest.mark.parametrize("number", range(7))
def test_what_goes_wrong_on_the_way_doubles_and_loses_nothing(tmp_path, wire, fault, number):
    out = tmp_path / "o.jsonl"
    with Provider(wire) as provider:
        provider.faults = {number: fault}
        summary = again(provider.url, rows(*"abc"), out)
        assert len(provider.requests) > number or (wire == "anthropic" and number > 4)
        assert (summary.answers, summary.failed) == (3, 0)
        assert provider.asked() == dict.fromkeys("abc", 1)


def test_a_batch_that_cannot_be_looked_for_is_not_made_twice(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider() as provider:
        provider.lists = False
        provider.faults = {2: "cut"}
        for _ in range(2):
            with pytest.raises(BatchError, match=r"lists none; look there"):
                run_batch(provider.url, rows("a"), out, via="provider")
        assert len(provider.batches) == 1


def test_a_batch_of_somebody_else_is_not_taken_for_ours(tmp_path):
    with Provider("anthropic") as provider:
        theirs = run_batch(provider.url, rows("x"), tmp_path / "p.jsonl", via="provider")
        assert theirs.out == 1
        provider.faults = {3: "lost"}  # our own is not made; theirs is as large
        for name in ("q", "r"):
            summary = run_batch(
                provider.url, rows(name), tmp_path / f"{name}.jsonl", via="provider"
            )
            assert summary.out == 1
        provider.faults = {}
        assert again(provider.url, rows("q"), tmp_path / "q.jsonl").answers == 1
        assert again(provider.url, rows("r"), tmp_path / "r.jsonl").answers == 1
        assert provider.asked() == {"x": 1, "q": 1, "r": 1}


def test_a_batch_that_is_as_large_as_ours_is_told_apart_at_its_end(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider("anthropic") as provider:
        run_batch(provider.url, rows("a"), out, via="provider", max_retries=0)
        provider.batches.clear()  # as if a kill had come before it was made …
        ledger = next(tmp_path.rglob("ledger.json"))
        told = json.loads(ledger.read_text())
        told["batches"][0] |= {"state": "sending", "id": "", "before": ""}
        ledger.write_text(json.dumps(told))
        key = ledger.with_name("00001.keys").read_bytes()[:16].hex()
        params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
        request = json.dumps({"custom_id": key, "params": params})
        ledger.with_name("00001.requests.jsonl").write_text(f"{request}\n")
        body = {"model": "m", "max_tokens": 1, "messages": [{"content": "theirs"}]}
        theirs = {
            "id": "msgbatch_theirs",
            "processing_status": "in_progress",
            "request_counts": {"processing": 1},
        }
        provider.batches.append({"told": theirs, "bodies": {"strange": body}, "end": "never"})
        summary = run_batch(provider.url, rows("a"), out, via="provider")
        assert (summary.out, len(provider.batches)) == (1, 1)
        assert "its end will tell" in summary.stats.batches[0]
        theirs |= {"processing_status": "ended"}
        run_batch(provider.url, rows("a"), out, via="provider")
        assert len(provider.batches) == 2
        assert again(provider.url, rows("a"), out).answers == 1
        assert lines(out)[0]["attempts"] == 1


@WIRES
def test_wait_waits_for_the_end(tmp_path, wire):
    with Provider(wire) as provider:
        run = prepared(provider.url, rows(*"abc"), tmp_path / "o", via="provider", wait=True)
        run.pause = 0.01
        summary = asyncio.run(run.run())
        assert (summary.answers, summary.out) == (3, 0)
        assert provider.asked() == dict.fromkeys("abc", 1)


async def test_a_wait_can_be_interrupted(tmp_path):
    with Provider() as provider:
        provider.ends = "never"
        run = prepared(provider.url, rows("a"), tmp_path / "o", via="provider", wait=True)
        run.pause = 0.01
        task = asyncio.ensure_future(run.run())
        while not (provider.batches and len(provider.requests) > 4):
            await asyncio.sleep(0.01)
        run.stop("interrupted")
        summary = await task
        assert (summary.stopped, summary.out) == ("interrupted", 1)


async def test_wait_needs_an_input_that_can_be_read_again(tmp_path):
    with Provider() as provider:
        run = prepared(provider.url, iter(rows("a")), tmp_path / "o", via="provider", wait=True)
        with pytest.raises(BatchError, match="reads the input again"):
            await run.run()


@WIRES
def test_fresh_cancels_what_is_out(tmp_path, wire):
    out = tmp_path / "o.jsonl"
    with Provider(wire) as provider:
        run_batch(provider.url, rows("a"), out, via="provider")
        summary = run_batch(provider.url, rows("b"), out, via="provider", fresh=True)
        assert "was cancelled" in summary.stats.notes[0]
        assert [each for each in provider.requests if each.endswith("batch_0/cancel")]
        assert again(provider.url, rows("b"), out).answers == 1
        assert texts(out) == {"r-b": "B"}


def test_what_is_out_is_not_asked_here_as_well(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider() as provider:
        run_batch(provider.url, rows("a"), out, via="provider")
        with pytest.raises(BatchError, match="--via provider collects them"):
            run_batch(provider.url, rows("a"), out)


def test_answers_to_rows_that_are_not_read_are_kept(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider() as provider:
        again_out = run_batch(provider.url, rows(*"abc"), out, via="provider")
        assert again_out.out == 3
        summary = again(provider.url, rows("a"), out)
        assert "2 answers of batch batch_0" in summary.stats.notes[-1]
        assert texts(out) == {"r-a": "A"}
        assert again(provider.url, rows(*"abc"), out).answers == 3
        assert len(provider.batches) == 1
        assert folder(tmp_path) == ["o.jsonl", "o.lock", "o.manifest.json"]


def test_answers_to_what_was_not_asked_are_told(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider() as provider:
        run_batch(provider.url, rows("a"), out, via="provider")
        bodies = provider.batches[0]["bodies"]
        bodies["ff" * 16] = next(iter(bodies.values()))
        summary = again(provider.url, rows("a"), out)
        assert summary.answers == 1
        assert "1 answers to what was not asked" in summary.stats.notes[0]


def test_an_answer_is_read_as_one_that_came_by_a_connection(tmp_path):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}

    def answer(body):
        message = {"role": "assistant", "content": "<think>hm</think>Well.", "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return {"id": "x", "model": "some-model", "choices": [choice]}

    with Provider(answer=answer) as provider:
        tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
        again(provider.url, rows("a"), tmp_path / "o.jsonl", tools=[tool])
        [one] = lines(tmp_path / "o.jsonl")
        assert one["tool_calls"] == [{"name": "add", "args": {"a": 2}, "id": "c1"}]
        assert (one["text"], one["reasoning"]) == ("Well.", "hm")


def test_an_answer_that_does_not_conform_fails_and_is_asked_once(tmp_path):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with Provider(answer=lambda body: "no") as provider:
        summary = again(provider.url, rows("a"), tmp_path / "o.jsonl", schema=schema)
        [failure] = lines(summary.failures)
        assert failure["error"]["type"] == "StructureError"
        assert len(provider.batches) == 1


def test_the_budget_counts_what_is_out(tmp_path):
    out = tmp_path / "o.jsonl"
    with Provider() as provider:
        url, name = provider.url.split("#")
        model = ChatEndpoint(url, model=name, price=Price(1_000_000, 1_000_000), api_key=KEY)
        asked = rows(*range(20))
        options = {"parameters": {"max_tokens": 2}, "budget": 400}
        summary = run_batch(model, asked, out, via="provider", **options)
        first = summary.out
        assert summary.stopped == "the budget is spent"
        assert 0 < first < 20
        run_batch(model, asked, out, via="provider", **options)
        assert sum(provider.asked().values()) == first
        for _ in range(12):
            summary = run_batch(model, asked, out, via="provider", **options)
            if not summary.out:
                break
        assert max(provider.asked().values()) == 1
        assert sum(each["cost"] for each in lines(out)) <= 400
        assert summary.answers == 20


def test_half_the_price_is_what_is_told_where_half_is_taken():
    from chatwright.wrap.endpoint.batches import batches_of

    price = Price(1_000_000, 2_000_000)
    for url, share in {"https://api.openai.com/v1": 0.5, "http://localhost:1/v1": 1.0}.items():
        batches = batches_of(ChatEndpoint(url, model="m", price=price, api_key="k"))
        body = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
        body["usage"] = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        from chatwright.wires.batches import Answer

        with batches.answering(Answer("k", "answered", 200, body)):
            message = asyncio.run(batches.model.ainvoke("x"))
        assert message.response_metadata["cost"]["total"] == 5 * share


def test_models_that_have_no_batches_are_refused_and_told_what_has(tmp_path):
    @chat_model
    async def own(messages):
        return "x"

    out = tmp_path / "o.jsonl"
    with pytest.raises(LoadError, match=r"give the endpoint, such as https://"):
        run_batch(own, [], out, via="provider")
    with pytest.raises(LoadError, match=r"name it: http://127\.0\.0\.1:1/v1#MODEL"):
        run_batch("http://127.0.0.1:1/v1", [], out, via="provider")
    with pytest.raises(LoadError, match="'ollama' have no batches"):
        run_batch(ChatEndpoint("http://127.0.0.1:1/api/chat", model="m"), [], out, via="provider")


def test_a_server_without_batches_is_told_apart(tmp_path):
    with Provider() as provider:
        url = provider.url.replace("/v1#", "/v1/other#")
        with pytest.raises(BatchError, match="leave out --via provider"):
            run_batch(url, rows("a"), tmp_path / "o.jsonl", via="provider")
        assert run_batch(provider.url, rows("a"), tmp_path / "o2.jsonl", via="provider").out == 1


def test_a_key_that_is_none_stops_it_and_shows_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATWRIGHT_API_KEY", "sk-wrong-and-secret")
    with Provider() as provider, pytest.raises(BatchError, match="no such key") as caught:
        run_batch(provider.url, rows("a"), tmp_path / "o.jsonl", via="provider")
    assert "sk-wrong" not in str(caught.value)


def test_many_equal_rows_go_out_once_whatever_became_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("chatwright.run.batch.index._RECENT", 64)
    monkeypatch.setattr("chatwright.run.batch.work._UNWRITTEN", 64)
    late = {"p0", "p7"}

    def answer(body):
        text = body["messages"][-1]["content"]
        if text in late:
            late.remove(text)
            return "expired"
        return text.upper()

    out = tmp_path / "o.jsonl"
    with Provider(answer=answer) as provider:
        asked = [{"prompt": f"p{n % 300}"} for n in range(900)]
        summary = again(provider.url, asked, out)
        assert (summary.answers, summary.failed) == (900, 0)
        assert len(provider.asked()) == 300
        assert {each for each, n in provider.asked().items() if n == 2} == {"p0", "p7"}
        assert len(texts(out)) == 900


def test_the_command_says_to_come_back_by_its_exit_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = "from chatwright import chat_model\nmodel = chat_model(lambda messages: 'x')\n"
    Path("own_of_test.py").write_text(own)
    Path("in.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    with Provider() as provider:
        command = ["batch", "in.jsonl", "o.jsonl", "-m", provider.url, "--via", "provider"]
        made = CliRunner().invoke(app, command)
        assert made.exit_code == 75
        assert "out: batch_0: validating, 0 of 2 rows" in made.output
        assert "2 rows are out: come back for them with the same command, or --wait" in made.output
        codes = [CliRunner().invoke(app, command).exit_code for _ in range(4)]
        assert codes == [75, 75, 0, 0]
        assert len(texts("o.jsonl")) == 2
    command = ["batch", "in.jsonl", "x", "-m", "own_of_test:model"]
    for more, told in {
        ("--via", "provider"): "can't be asked by its provider's batches",
        ("--via", "pigeon"): "via can be local or provider",
        ("--via", "provider", "--rate", "5"): "rate is for rows that are asked here",
        ("--wait",): "via='provider'",
    }.items():
        made = CliRunner().invoke(app, [*command, *more])
        assert made.exit_code == 1
        assert told in made.output


def test_a_sample_is_asked_here_and_the_rest_by_the_provider(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text("".join(f'{{"prompt": "{n}"}}\n' for n in range(5)))
    with Provider() as provider:
        command = ["batch", "in.jsonl", "o.jsonl", "-m", provider.url, "--via", "provider"]
        made = CliRunner().invoke(app, [*command, "--sample", "2", "--yes"])
        assert made.exit_code == 75, made.output
        assert "by 2 rows, all 5 take about 50 tokens in" in made.output
        assert "at this pace" not in made.output
        assert len(provider.asked()) == 3
