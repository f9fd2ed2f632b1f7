import json
import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from chatwright import BatchError, Price, Usage, chat_model
from chatwright.batch import run_batch
from chatwright.cli import app
from chatwright.run.batch.figures import Bins, Figures, Sample, Throughput, figures_of
from chatwright.run.batch.journal import line_of
from chatwright.run.batch.report import as_html
from chromium import DESK, NEEDED, PHONE, browser

__all__ = ["browser"]  # pytest's fixture

HOSTILE = "</pre></svg><script>document.title='taken'</script><img src=x onerror=alert(1)>\u202e"


def batched(*args, **options):
    with ThreadPoolExecutor() as pool:  # Playwright has a loop in this thread
        pool.submit(run_batch, *args, **options).result()


@pytest.fixture(params=["jsonl", "openai", "parquet"])
def output(tmp_path, request):
    """The output of a batch of which all numbers are known."""

    @chat_model(price=Price(1.0, 2.0))
    async def model(messages):
        text = messages[-1].text
        if text.startswith("bad"):
            raise ValueError(HOSTILE)
        yield f"{HOSTILE} {text}"
        yield Usage(100, 50)

    out = tmp_path / ("o.parquet" if request.param == "parquet" else "o.jsonl")
    rows = [{"id": f"r{n}", "prompt": f"p{n % 30}"} for n in range(40)]
    rows += [{"id": f"{HOSTILE}{n}", "prompt": f"bad{n}"} for n in range(3)]
    batched(model, rows, out, form=request.param)
    return out


def test_the_numbers_are_those_of_the_output(output):
    figures = figures_of(output)
    assert (figures.answers, figures.failed, figures.copied) == (40, 3, 10)
    assert figures.tokens == (3000, 1500)
    assert figures.cost == pytest.approx(30 * (100 * 1.0 + 50 * 2.0) / 1e6)
    assert figures.latency.total == figures.throughput.counts.total() == 30
    assert figures.said.total == 30
    assert figures.said.at(0.5) == pytest.approx(50, rel=0.05)
    assert figures.failures == {"ValueError": 3}
    assert figures.reasons == {"stop": 40}
    assert len(figures.answered.kept) == 12
    assert len(figures.wrong.kept) == 3
    page = as_html(figures)
    for told in (">40<", "10 equal another row", ">1,500<", "3,000 in", "0.0060", "6.98% of rows"):
        assert told in page, told


def test_hostile_texts_are_shown_and_nothing_else(output):
    page = as_html(figures_of(output))
    assert "<img" not in page
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;document.title" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


@NEEDED
@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESK, "light")])
def test_the_page_stands_alone_and_runs_nothing(output, browser, viewport, scheme):
    if output.suffix != ".jsonl" and viewport is DESK:
        pytest.skip("one format is enough")
    path = output.with_name("r.html")
    path.write_text(as_html(figures_of(output)), "utf-8")
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.title() == f"{output.name}: 40 answers"
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.locator(".plot rect").count() >= 4
    assert page.locator(".plot").first.bounding_box()["height"] > 100
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(15, 18, 23)" if scheme == "dark" else "rgb(245, 246, 248)")
    assert [each for each in asked if not each.startswith(("file:", "data:"))] == []
    assert said == []
    context.close()


def test_it_is_a_command(output, monkeypatch):
    monkeypatch.chdir(output.parent)
    made = CliRunner().invoke(app, ["batch", "report", output.name])
    assert (made.exit_code, made.output.strip()) == (0, "o.report.html")
    assert "40" in (output.parent / "o.report.html").read_text()
    made = CliRunner().invoke(app, ["batch", "report", output.name, "-o", "other.html"])
    assert made.exit_code == 0
    assert (output.parent / "other.html").exists()
    made = CliRunner().invoke(app, ["batch", "report", "nothing.jsonl"])
    assert made.exit_code == 1
    assert "there is no batch at nothing.jsonl" in made.output
    made = CliRunner().invoke(app, ["batch", "in.jsonl", "out.jsonl", "-o", "x"])
    assert made.exit_code != 0


def test_damaged_lines_are_left_alone(tmp_path):
    @chat_model
    async def model(messages):
        return "x"

    out = tmp_path / "o.jsonl"
    batched(model, ["a", "b"], out)
    data = out.read_bytes() + b'{"key":"torn'
    out.write_bytes(data)
    assert figures_of(out).answers == 2
    assert out.read_bytes() == data
    (tmp_path / "o.manifest.json").unlink()
    with pytest.raises(BatchError, match="no manifest stands beside it"):
        figures_of(out)


def test_memory_does_not_grow_with_the_rows(tmp_path):
    manifest = {"format": "jsonl", "job": {"model": "m"}, "runs": []}
    out = tmp_path / "o.jsonl"
    (tmp_path / "o.manifest.json").write_text(json.dumps(manifest))

    def peak(rows):
        with out.open("wb") as file:
            for n in range(rows):
                told = {"key": f"{n:032x}", "id": f"{n:09}", "text": "x" * 100, "attempts": 1}
                told |= {"usage": {"input_tokens": n % 500, "output_tokens": n % 900}, "cost": 0.1}
                told |= {"finish_reason": str(n), "started": 1e9 + n, "seconds": 1.0 + n % 97}
                file.write(line_of(told))
        tracemalloc.start()
        figures = figures_of(out)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert figures.answers == rows
        assert len(figures.throughput.bars()) <= 120
        assert len(figures.reasons) <= 51
        return most

    assert peak(30_000) < peak(3_000) * 1.5


def test_bins_are_near_and_a_sample_is_fair():
    bins = Bins()
    for n in range(1, 1001):
        bins.add(n)
    bins.add(0)
    assert bins.total == 1001
    assert bins.at(0.5) == pytest.approx(500, rel=0.06)
    assert bins.at(0.99) == pytest.approx(990, rel=0.06)
    assert sum(n for *_, n in bins.bars()) == 1000
    assert (Bins().at(0.5), Bins().bars()) == (0.0, [])

    met = [0] * 10
    for seed in range(300):
        sample = Sample(3)
        sample._random.seed(seed)
        for n in range(10):
            sample.add(n)
        for each in sample.kept:
            met[each] += 1
    assert min(met) > 50  # 90 each, give or take
    assert max(met) < 130


def test_throughput_is_told_in_few_bars_however_long_it_went_on():
    throughput = Throughput()
    for day in range(10):
        throughput.add(1.7e9 + 86_400 * day)
    bars = throughput.bars()
    assert len(bars) <= 120
    assert sum(n for *_, n in bars) == 10


def test_a_batch_without_results_has_a_report_too(tmp_path):
    manifest = {"format": "jsonl", "job": {"model": "m"}, "runs": [{"started": 1.7e9}]}
    (tmp_path / "o.manifest.json").write_text(json.dumps(manifest))
    page = as_html(figures_of(tmp_path / "o.jsonl"))
    assert "it was killed, or goes on" in page
    assert "0 answers" in page
    assert Figures(tmp_path, manifest).answers == 0
