"""The real engine and the real weights."""

import asyncio
import functools
import gc
import http.client
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from urllib.parse import urlsplit

import gguf
import numpy as np
import pytest

from chatwright import ChatGGUF, InvalidRequestError, SourceTimeoutError, WeightsError
from chatwright.wrap.gguf import engine as engines
from chatwright.wrap.gguf.weights import find
from contract.subjects import SMOLLM2
from waiting import eventually

PROMPT = [("system", "You are a helpful assistant."), ("human", "What is the capital of France?")]


def test_parameters_reach_the_engine_by_their_standard_names():
    model = SMOLLM2()
    assert model.invoke(PROMPT, max_tokens=2).usage_metadata["output_tokens"] == 2
    assert model.invoke(PROMPT, max_tokens=2).response_metadata["finish_reason"] == "length"
    hot = {"temperature": 2.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "max_tokens": 12}
    again = [model.invoke(PROMPT, **hot, seed=seed).text for seed in (1, 2, 3)]
    assert len(set(again)) > 1
    pinned = [model.invoke(PROMPT, **{**hot, "top_k": 1}, seed=seed).text for seed in (1, 2)]
    assert len(set(pinned)) == 1
    biased = model.invoke(PROMPT, logit_bias=[["The", False]], max_tokens=4).text
    assert not biased.startswith("The")
    penalized = model.invoke("Say yes yes yes yes", repeat_penalty=5.0, max_tokens=12).text
    assert penalized != model.invoke("Say yes yes yes yes", max_tokens=12).text


async def test_max_tokens_of_zero_is_an_answer_without_a_token():
    model = SMOLLM2(max_tokens=0)
    for answer in (model.invoke(PROMPT), await model.ainvoke(PROMPT), sum_of(model.stream(PROMPT))):
        assert answer.text == ""
        assert answer.response_metadata["finish_reason"] == "length"
        assert answer.usage_metadata["output_tokens"] == 0
        assert answer.usage_metadata["input_tokens"] > 20


def sum_of(chunks):
    first, *others = chunks
    return functools.reduce(lambda total, chunk: total + chunk, others, first)


@pytest.mark.parametrize("stop", [None, ["France"]])
def test_log_probabilities_come_as_openais_do(stop):
    model = SMOLLM2(temperature=0, max_tokens=8, stop=stop)
    answers = [model.invoke(PROMPT, logprobs=True, top_logprobs=2)]
    answers.append(sum_of(model.stream(PROMPT, logprobs=True, top_logprobs=2)))
    for answer in answers:
        told = answer.response_metadata["logprobs"]["content"]
        assert "".join(each["token"] for each in told) == answer.text
        for each in told:
            assert each.keys() == {"token", "bytes", "logprob", "top_logprobs"}
            assert bytes(each["bytes"]).decode() == each["token"]
            assert each["top_logprobs"][0]["token"] == each["token"]
            assert len(each["top_logprobs"]) == 2
            assert each["logprob"] <= 0
    without = model.bind(logprobs=True).invoke(PROMPT).response_metadata["logprobs"]["content"]
    assert [each["logprob"] for each in without] == pytest.approx(
        [each["logprob"] for each in told], abs=0.1
    )
    assert all(each["top_logprobs"] == [] for each in without)
    assert "logprobs" not in model.invoke(PROMPT).response_metadata
    with pytest.raises(InvalidRequestError, match="logprobs"):
        model.invoke(PROMPT, top_logprobs=2)


def test_a_grammar_and_a_schema_reach_the_engine():
    model = SMOLLM2(max_tokens=60)
    assert model.invoke(PROMPT, grammar='root ::= "yes" | "no"').text in {"yes", "no"}
    schema = {
        "type": "object",
        "properties": {"capital": {"enum": ["Paris", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    text = model.invoke(PROMPT, response_format=form).text
    assert "".join(text.split()) in {'{"capital":"Paris"}', '{"capital":"Rome"}'}


def test_a_chat_template_replaces_the_files_own():
    template = "{% for m in messages %}{{ m.content }}{% endfor %} is"
    model = SMOLLM2(chat_template=template, n_parallel=1)
    plain = SMOLLM2().invoke("Paris", max_tokens=1).usage_metadata["input_tokens"]
    assert model.invoke("Paris", max_tokens=1).usage_metadata["input_tokens"] < plain


@pytest.fixture
def adapter(tmp_path):
    """A LoRA adapter that turns the first layer's queries upside down."""
    path = tmp_path / "lora.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    chooser = np.random.default_rng(7)
    for side, shape in (("a", (4, 576)), ("b", (576, 4))):
        values = chooser.normal(size=shape).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{side}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_lora_adapter_reaches_the_engine(adapter):
    plain = SMOLLM2(n_parallel=1).invoke(PROMPT).text
    assert SMOLLM2(n_parallel=1, lora=[adapter]).invoke(PROMPT).text != plain
    assert SMOLLM2(n_parallel=1, lora=[(adapter, 0.0)]).invoke(PROMPT).text == plain
    with pytest.raises(WeightsError, match="No such file"):
        SMOLLM2(lora=["missing.gguf"])


def test_models_with_the_same_options_share_one_engine_and_free_it():
    one, two = SMOLLM2(n_ctx=272), SMOLLM2(n_ctx=272, temperature=0.9)
    assert one.engine is two.engine
    assert one.engine is not SMOLLM2(n_ctx=288).engine
    assert pickle.loads(pickle.dumps(one)).engine is one.engine
    one.invoke("hi", max_tokens=1)
    assert two.engine.loaded
    options = one.engine.options
    del one, two
    gc.collect()
    assert options not in engines._engines


def test_an_unused_model_loads_nothing():
    assert not SMOLLM2(n_ctx=304).engine.loaded


async def test_more_calls_than_slots_queue_visibly(caplog):
    caplog.set_level(logging.DEBUG, "chatwright.wrap.gguf.gate")
    model = SMOLLM2(n_parallel=2, max_tokens=30, n_ctx=256)
    model.invoke("hi", max_tokens=1)
    tasks = [asyncio.create_task(model.ainvoke("Tell me a story.")) for _ in range(6)]
    seen = 0
    while not all(task.done() for task in tasks):
        seen = max(seen, model.queue_size)
        await asyncio.sleep(0.005)
    assert seen == 4
    assert model.queue_size == 0
    assert "queued at position 4" in caplog.text
    assert all(task.result().text for task in tasks)


async def test_a_queued_call_that_is_cancelled_leaves_the_queue_at_once():
    model = SMOLLM2(n_parallel=1, max_tokens=200, n_ctx=256)
    model.invoke("hi", max_tokens=1)
    first = asyncio.create_task(model.ainvoke("Tell me a long story."))
    second = asyncio.create_task(model.ainvoke("Tell me another long story."))
    assert await eventually(lambda: model.queue_size == 1)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert await eventually(lambda: model.queue_size == 0)
    assert not first.done()
    assert (await first).text


@pytest.mark.parametrize("way", ["in its answer", "in the queue"])
def test_the_time_limit_holds(way):
    model = SMOLLM2(n_parallel=1, max_tokens=200, n_ctx=512)
    model.invoke("hi", max_tokens=1)
    if way == "in the queue":
        holder = threading.Thread(
            target=lambda: model.invoke("Tell me a very long story.", max_tokens=60)
        )
        holder.start()
        time.sleep(0.1)
    with pytest.raises(SourceTimeoutError, match=r"0\.2 s ran out"):
        model.invoke("Tell me a story.", timeout=0.2)
    if way == "in the queue":
        holder.join()


def test_cancelling_a_stream_frees_the_slot_within_a_token():
    model = SMOLLM2(n_parallel=1, max_tokens=300)
    started = time.perf_counter()
    model.invoke("Tell me a long story.")
    whole = time.perf_counter() - started
    stream = model.stream("Tell me a long story.")
    next(stream)
    stream.close()
    started = time.perf_counter()
    model.invoke("hi", max_tokens=1)
    assert time.perf_counter() - started < whole / 2


async def test_a_cancel_is_seen_while_the_prompt_is_processed():
    model = SMOLLM2(n_parallel=1, n_batch=32)
    await model.ainvoke("hi", max_tokens=1)
    task = asyncio.create_task(model.ainvoke("Once upon a time. " * 60))  # 240 tokens
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()
    started = time.perf_counter()
    await model.ainvoke("hi", max_tokens=1)
    freed = time.perf_counter() - started
    started = time.perf_counter()
    await model.ainvoke("Twice upon a time. " * 60, max_tokens=1)
    assert freed < (time.perf_counter() - started) / 2


def ask(address, path, headers):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("POST", path, b"{}", {"Content-Type": "application/json", **headers})
    return connection.getresponse()


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/completion", "/tokenize", "/props", "/v1/models", "/slots"]
)
def test_the_engines_own_listener_is_locked(path):
    model = SMOLLM2()
    address = model.engine.address
    assert urlsplit(address).hostname == "127.0.0.1"
    assert ask(address, path, {}).status == 401
    assert ask(address, path, {"Authorization": "Bearer guess"}).status == 401
    answer = ask(address, path, {"Origin": "http://elsewhere.example"})
    assert answer.headers.get("Access-Control-Allow-Origin") in {None, ""}


def test_loading_is_silent_by_default_and_logged_on_request(capfd, caplog):
    SMOLLM2(n_ctx=320).invoke("hi", max_tokens=1)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    caplog.set_level(logging.INFO, "chatwright.llama_cpp")
    SMOLLM2(n_ctx=336).invoke("hi", max_tokens=1)
    assert "loading model" in caplog.text
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="it is libgomp's way")
def test_engines_that_crowd_the_cores_are_told_of(caplog, monkeypatch):
    monkeypatch.setattr(engines, "_engines", weakref.WeakValueDictionary())  # other tests' left out
    cores = max(2, len(os.sched_getaffinity(0)))
    kept = [SMOLLM2(n_ctx=512, n_threads=cores)]
    kept[0].invoke("hi", max_tokens=1)
    kept.append(SMOLLM2(n_ctx=512, n_threads=1))
    kept[1].invoke("hi", max_tokens=1)
    assert caplog.text == ""
    kept.append(SMOLLM2(n_ctx=768, n_threads=cores))
    kept[2].invoke("hi", max_tokens=1)
    assert f"2 engines in this process have {2 * cores} threads" in caplog.text


@pytest.fixture
def damaged(tmp_path):
    good = find("smollm2").read_bytes()
    files = {
        "truncated": good[:5_000_000],
        "header only": good[:200],
        "four bytes": b"GGUF",
        "unknown architecture": good[:4096].replace(b"llama", b"lllma") + good[4096:],
        "wrong version": good[:4] + b"\xff\0\0\0" + good[8:5_000_000],
        "noise": b"GGUF\x03\0\0\0" + bytes(range(256)) * 4000,
    }
    for name, content in files.items():
        (tmp_path / f"{name}.gguf").write_bytes(content)
    return tmp_path, files


def test_files_that_llama_cpp_cannot_use_are_named_and_the_process_lives(damaged, capfd):
    folder, files = damaged
    for name in files:
        with pytest.raises(WeightsError, match=f"{name}.gguf: "):
            ChatGGUF(model_path=str(folder / f"{name}.gguf")).invoke("hi")
    assert capfd.readouterr().err == ""
    with pytest.raises(WeightsError, match=r"truncated.*not within the file bounds"):
        ChatGGUF(model_path=str(folder / "truncated.gguf")).invoke("hi")
    with pytest.raises(WeightsError, match=r"unknown model architecture: 'lllma'"):
        ChatGGUF(model_path=str(folder / "unknown architecture.gguf")).invoke("hi")
    assert SMOLLM2().invoke(PROMPT).text


def test_what_is_no_gguf_file_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "page.gguf").write_text("<html>")
    for path, says in (
        (tmp_path / "page.gguf", "it begins with b'<htm'"),
        (tmp_path / "missing.gguf", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(WeightsError, match=says):
            ChatGGUF(model_path=str(path))


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": "tests"},
    )


def test_a_process_may_end_in_the_middle_of_an_answer():
    done = run("""
        from contract.subjects import SMOLLM2
        stream = SMOLLM2(max_tokens=400).stream("Tell me a long story.")
        next(stream)
        import threading
        threading.Thread(target=lambda: list(stream), daemon=True).start()
    """)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_is_told_what_to_do_and_lives():
    done = run("""
        import multiprocessing
        import chatwright
        from contract.subjects import SMOLLM2
        model = SMOLLM2(n_parallel=1, n_ctx=256)
        model.invoke("hi", max_tokens=1)

        def use():
            global model
            try:
                model.invoke("hi", max_tokens=1)
            except chatwright.EngineError as error:
                del model
                raise SystemExit(7 if "'spawn'" in str(error) else 1)

        child = multiprocessing.get_context("fork").Process(target=use)
        child.start()
        child.join()
        print(child.exitcode, bool(model.invoke("hi", max_tokens=1).text))
    """)
    assert (done.stdout, done.stderr) == ("7 True\n", "")


def test_ctrl_c_still_interrupts_after_weights_were_loaded():
    done = run("""
        import os, signal, threading
        from contract.subjects import SMOLLM2
        model = SMOLLM2(max_tokens=400)
        model.invoke("hi", max_tokens=1)
        try:
            threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
            model.invoke("Tell me a long story.")
        except KeyboardInterrupt:
            print("interrupted", bool(model.invoke("hi", max_tokens=1).text))
    """)
    assert (done.stdout, done.stderr) == ("interrupted True\n", "")
