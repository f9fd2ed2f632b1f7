"""The five forms of a report: what they say, and that no text breaks out of them."""

import io
import json
import re
from collections import Counter
from dataclasses import fields, replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rich.console import Console

from chatwright import ChatEndpoint, check
from chatwright.checks.finding import Exchange, Fault, Finding, Report, Verdict
from chatwright.checks.reports import REPORTS
from chatwright.checks.reports.baseline import read_baseline, since
from chatwright.checks.reports.html import as_html
from chatwright.checks.reports.json import SCHEMA
from chatwright.checks.reports.text import as_text, show
from chatwright.checks.reports.words import printable
from check.samples import EMPTY, EVIL, GREEN, HOSTILE, MIXED, REPORTS_MADE, finding

ANY_TEXT = st.text(st.characters(), max_size=60)
ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def holding(text):
    exchange = Exchange(text, {text: [text]}, [(1.0, text)], text)
    found = [
        finding(
            text,
            verdict,
            text,
            text,
            got=text,
            expected=text,
            sent=text,
            fix=text,
            fault=Fault.MODEL,
            exchanges=[exchange],
        )
        for verdict in Verdict
    ]
    return Report(text, found, 1, 1.0, {text: text})


@pytest.fixture(scope="module")
def real():
    return check(ChatEndpoint, only=["S4", "S6"])


def valid(report):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(REPORTS["json"](report)))
    return True


# all of them


@pytest.mark.parametrize("form", REPORTS)
@pytest.mark.parametrize("name", REPORTS_MADE)
def test_every_form_is_text_that_a_file_can_hold(form, name):
    written = REPORTS[form](REPORTS_MADE[name])
    assert written.endswith("\n")
    assert written.encode()
    assert "\x1b" not in written and "\x00" not in written


@given(ANY_TEXT)
@settings(max_examples=60, deadline=None)
def test_no_text_of_a_model_breaks_any_form(text):
    report = holding(text)
    for form, write in REPORTS.items():
        assert write(report).encode(), form
    assert valid(report)
    suites = ET.fromstring(REPORTS["junit"](report))
    assert len(suites.findall("testsuite/testcase")) == len(Verdict)
    assert len(REPORTS["github"](report).splitlines()) == 3
    assert tags(as_html(report)) == tags(as_html(holding(re.sub(r"[^`\s]", "a", printable(text)))))


@pytest.mark.parametrize("form", REPORTS)
def test_what_is_not_text_is_shown_by_its_repr(form):
    odd = finding("S1", Verdict.FAIL, got=None, expected=("a", 3), fix=7, fault=Fault.MODEL)
    assert REPORTS[form](Report("m", [odd]))
    assert valid(Report("m", [odd]))


def test_a_real_report_is_told_in_every_form(real):
    assert valid(real)
    for name, write in REPORTS.items():
        assert ("hold" if name in {"badge", "shields"} else "ChatEndpoint") in write(real)


# JSON


@pytest.mark.parametrize("name", REPORTS_MADE)
def test_json_keeps_to_its_schema(name):
    assert valid(REPORTS_MADE[name])


def test_the_schema_tells_of_every_key():
    one = SCHEMA["properties"]["findings"]["items"]
    assert one["required"] == [each.name for each in fields(Finding)]
    call = one["properties"]["exchanges"]["items"]
    assert call["required"] == [each.name for each in fields(Exchange)]
    assert SCHEMA["required"] == [*MIXED.as_dict()]


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_the_schema_misses_a_key(key):
    told = MIXED.as_dict()
    del told[key]
    assert list(Draft202012Validator(SCHEMA).iter_errors(told))


@pytest.mark.parametrize(
    ("key", "value"), [("verdict", "OK"), ("fault", "mine"), ("got", 3), ("exchanges", [{}])]
)
def test_the_schema_refuses_what_is_wrong(key, value):
    told = MIXED.as_dict()
    told["findings"][0][key] = value
    assert list(Draft202012Validator(SCHEMA).iter_errors(told))


def test_json_says_what_was_found():
    told = json.loads(REPORTS["json"](MIXED))
    failed = next(each for each in told["findings"] if each["rule"] == "S4")
    assert (told["schema_version"], told["calls"], told["model"]) == (1, 57, MIXED.model)
    assert (failed["verdict"], failed["severity"], failed["fault"]) == ("FAIL", "error", "model")
    assert failed["got"] == (HOSTILE * 2).replace("\ud800", r"\ud800")
    assert failed["exchanges"][0]["timeline"][0] == [10.0, "'The '"]
    assert failed["seconds"] == 0.123


def test_a_request_may_be_anything():
    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

    loop = []
    loop.append(loop)
    deep = []
    for _ in range(5000):
        deep = [deep]
    request = {
        "nan": float("nan"),
        "bytes": b"\xff",
        3: {
            1,
        },
        "loop": loop,
        "deep": deep,
        "huge": 10**5000,
        "hostile": Hostile(),
        "half": "\ud800",
        "verdict": Verdict.PASS,
    }
    failed = finding("S1", Verdict.FAIL, fault=Fault.MODEL, exchanges=[Exchange("invoke", request)])
    report = Report("m", [failed])
    assert valid(report)
    told = json.loads(REPORTS["json"](report))["findings"][0]["exchanges"][0]["request"]
    assert told["nan"] == "nan" and told["bytes"] == r"b'\xff'" and told["3"] == "{1}"
    assert told["loop"] == ["…"] and told["huge"].startswith("0x") and told["verdict"] == "PASS"
    assert told["hostile"] == "<Hostile, whose repr raised RuntimeError>"
    assert "whose repr raised" in as_html(report)


# text


def lines(report, **options):
    return as_text(report, **options).splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", REPORTS_MADE)
def test_text_fits_its_width_but_for_links(name, width):
    said = lines(REPORTS_MADE[name], width=width)
    assert all(line == line.rstrip() for line in said)
    long_ids = ("test_with", "</script>", "https://", "FAIL </script>", "FAIL test_with")
    for line in said:
        if not line.strip().startswith(long_ids):
            assert len(line) <= width, line


def test_text_tells_a_score_per_section():
    said = as_text(MIXED)
    for name, passed, rest in [
        ("Basics", "2/2", ""),
        ("Streaming", "1/3", "1 FAIL, 1 WARN, 1 SKIP"),
        ("Tools", "0/1", "1 WARN"),
        ("Errors", "0/0", "1 SKIP, 1 crashed"),
    ]:
        assert re.search(rf"^  {name} +{passed}(   {rest})?$", said, re.MULTILINE), name
    assert said.endswith("\n3 of 7 rules hold: 2 FAIL, 2 WARN, 2 SKIP, 1 crashed\n")
    assert as_text(GREEN).endswith("\n7 of 7 rules hold\n")
    assert "python 3.11.7, chatwright 0.1.0, langchain-core 1.7.2, 57 calls, 8.2 s" in said
    assert "1 call, 0.5 s" in as_text(GREEN)


def test_text_has_failures_first_then_crashes_warnings_and_skips():
    order = [line.split()[:2] for line in lines(MIXED) if re.match("(FAIL|CRASH|WARN|SKIP) ", line)]
    long = "test_with_a_long_name_of_langchain_tests"
    verdicts = ["FAIL", "FAIL", "CRASH", "WARN", "WARN", "SKIP", "SKIP"]
    rules = ["S4", long, "E1", "S2", "T1", "S3", "E2"]
    assert order == [[*pair] for pair in zip(verdicts, rules, strict=True)]


def test_text_tells_the_evidence_the_fix_and_whose_fault_it_is():
    said = as_text(MIXED)
    (warned,) = re.findall(r"^WARN S2.*?(?=^$)", said, re.MULTILINE | re.DOTALL)
    assert warned.splitlines() == [
        "WARN S2  All chunks share one `id`",
        "  got       core had to add it",
        "  expected  the model's own",
        "  fix       End `_stream` with it.",
        "  fault     the model class's (it irritates, nothing is lost)",
        "  https://example.org/rules.md#s2",
    ]
    assert "  fault     the LLM's: it chose so" in said
    assert "  fault     the rule's own: it crashed, please report it" in said


def test_what_is_expected_is_not_told_twice():
    twice = finding("S1", Verdict.FAIL, expected="All chunks share one `id`", got="2 ids")
    assert "expected" not in as_text(Report("m", [twice]))


def test_a_skip_is_one_line():
    (line,) = [line for line in lines(MIXED) if line.startswith("SKIP E2")]
    assert line.startswith("SKIP E2  a long reason x") and line.endswith("…") and len(line) == 80


def test_long_evidence_is_cut_and_the_cut_is_told():
    long = finding("S1", Verdict.FAIL, got="y" * 5000, fault=Fault.MODEL)
    said = as_text(Report("m", [long]))
    assert said.count("y") < 1000 and "(4300 more characters)" in "".join(said.split("\n"))


def test_colours_are_only_where_they_are_wanted():
    assert "\x1b[1;31mFAIL" in as_text(MIXED, color=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", as_text(MIXED, color=True))
    assert plain == as_text(MIXED)
    assert r"\x1b[31mred\x1b[0m" in plain and ":smile:" in plain and "[bold red]" in plain


def test_a_console_says_how_wide_and_where():
    file = io.StringIO()
    show(MIXED, Console(file=file, width=100))
    assert file.getvalue() == as_text(MIXED, width=100) != as_text(MIXED)


# JUnit


def test_junit_has_a_suite_per_section_and_a_case_per_rule():
    root = ET.fromstring(REPORTS["junit"](MIXED))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10",
        "failures": "2",
        "errors": "1",
        "skipped": "2",
    }
    assert root.get("time") == "8.250"
    suites = {suite.get("name"): suite for suite in root}
    assert [*suites] == [*MIXED.sections()]
    for suite in suites.values():
        kinds = Counter(child.tag for case in suite.iter("testcase") for child in case)
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        assert suite.get("failures") == str(kinds["failure"])
        assert suite.get("errors") == str(kinds["error"])
        assert suite.get("skipped") == str(kinds["skipped"])
    assert suites["Basics"].find("properties/property[@name='chatwright']").get("value") == "0.1.0"


def test_junit_tells_each_verdict_in_its_element():
    cases = {
        case.get("name").split()[0]: case
        for case in ET.fromstring(REPORTS["junit"](MIXED)).iter("testcase")
    }
    assert len(cases["S1"]) == 0
    assert cases["S1"].get("classname") == "models.ChatSomething.Streaming"
    assert cases["S1"].get("time") == "0.123"
    failure = cases["S4"].find("failure")
    assert failure.get("type") == "error" and failure.get("message").startswith("</script>")
    assert "fix: Leave `id` unset." in failure.text and r"\x1b[31mred" in failure.text
    assert "link: https://example.org/rules.md#s4" in failure.text
    assert cases["E1"].find("error").get("message") == "the rule crashed: KeyError: 1"
    assert cases["S3"].find("skipped").get("message").startswith("it needs a backend")
    assert cases["S2"].find("system-out").text.startswith("WARN\ngot: core had to add it")


# GitHub


def decoded(line):
    kind, title, message = re.fullmatch(r"::(\w+) title=([^:,\r\n]*)::([^\r\n]*)", line).groups()
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        title, message = title.replace(code, char), message.replace(code, char)
    return kind, title, message


def test_github_gets_an_annotation_per_finding_and_a_sum():
    said = [decoded(line) for line in REPORTS["github"](MIXED).splitlines()]
    kinds = [kind for kind, _, _ in said]
    assert kinds == ["error", "error", "error", "warning", "warning", "notice"]
    assert said[0][1] == "S4 All chunks share one `id`"
    assert said[3][2] == (
        "got: core had to add it\nexpected: the model's own\nfix: End `_stream` with it.\n"
        "fault: the model class's (it irritates, nothing is lost)\nhttps://example.org/rules.md#s2"
    )
    headline = "3 of 7 rules hold: 2 FAIL, 2 WARN, 2 SKIP, 1 crashed"
    assert said[-1] == ("notice", "chatwright check", f"models.ChatSomething: {headline}")


def test_findings_of_one_cause_are_told_once():
    where = "IndexError at models.py:41: choice = choices[0]"
    found = [
        finding("B4", Verdict.FAIL, fault=Fault.MODEL, got="stream raised IndexError", cause=where),
        finding("P3", Verdict.FAIL, fault=Fault.MODEL, got="no stop"),
        finding("S1", Verdict.FAIL, fault=Fault.MODEL, got="stream raised IndexError", cause=where),
        finding("T2", Verdict.FAIL, fault=Fault.MODEL, got="stream raised IndexError", cause=where),
    ]
    report = Report("models.Chat", found)
    text = as_text(report)
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("FAIL")] == [
        ["FAIL", "S1"],  # the plain call's
        ["FAIL", "P3"],
    ]
    assert "and 2 more for the same reason: B4, T2" in text
    assert f"cause     {where}" in text
    assert "0 of 4 rules hold: 4 FAIL for 2 reasons" in text
    said = [decoded(line) for line in REPORTS["github"](report).splitlines()]
    assert [title.split()[0] for _, title, _ in said] == ["S1", "P3", "chatwright"]
    assert "and 2 more for the same reason: B4, T2" in said[0][2]
    page = REPORTS["html"](report)
    assert page.count("and 2 more for the same reason: B4, T2") == 1 and "S1</a> +2</li>" in page
    assert len([*ET.fromstring(REPORTS["junit"](report)).iter("failure")]) == 4


def test_a_baseline_leaves_what_is_new(tmp_path):
    before = [
        finding("B4", Verdict.FAIL, got="no"),
        finding("P3", Verdict.WARN, got="hm"),
        finding("S1", Verdict.PASS),
    ]
    path = tmp_path / "baseline.json"
    path.write_text(REPORTS["json"](Report("m", before)))
    now = [
        finding("B4", Verdict.WARN, got="a little"),
        finding("P3", Verdict.FAIL, got="no stop", fault=Fault.MODEL),
        finding("S1", Verdict.FAIL, got="nothing", fault=Fault.MODEL),
    ]
    report = since(Report("m", now), read_baseline(path))
    assert [each.known for each in report.findings] == [True, False, False]
    assert report.exit_code() == 1
    same = since(Report("m", before), read_baseline(path))
    assert same.exit_code(strict=True) == 0
    text = as_text(report)
    new = [line.split()[1] for line in text.splitlines() if line.startswith("FAIL")]
    assert new == ["S1", "P3"]
    assert "In the baseline already: B4" in text
    assert text.rstrip().endswith("; 1 of these in the baseline, 2 new")
    assert "::warning" not in REPORTS["github"](report)
    junit = ET.fromstring(REPORTS["junit"](same))
    assert [*junit.iter("failure")] == [] and len([*junit.iter("skipped")]) == 1
    (tmp_path / "no.json").write_text("[]")
    with pytest.raises(ValueError, match="is no report to compare with"):
        read_baseline(tmp_path / "no.json")


@pytest.mark.parametrize(
    ("verdict", "color"), [("PASS", "#2e7d32"), ("WARN", "#b7791f"), ("FAIL", "#c0392b")]
)
def test_a_badge_says_how_many_rules_hold(verdict, color):
    report = Report("m", [finding("B1", Verdict.PASS), finding("B2", Verdict(verdict))])
    held = "2 of 2 hold" if verdict == "PASS" else "1 of 2 hold"
    told = json.loads(REPORTS["shields"](report))
    assert (told["schemaVersion"], told["message"], told["color"]) == (1, held, color)
    svg = ET.fromstring(REPORTS["badge"](report))
    assert svg.tag.endswith("svg") and svg.get("aria-label") == f"chatwright check: {held}"
    assert color in REPORTS["badge"](report)


def test_github_is_given_no_command_but_ours():
    said = REPORTS["github"](EVIL).splitlines()
    assert [decoded(line)[0] for line in said] == ["error", "notice"]
    assert decoded(said[0])[1] == printable(f"{HOSTILE} {HOSTILE}")
    assert "%250A" in said[0]


# HTML


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.links = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.links += [
            value for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]

    def handle_data(self, data):
        self.texts.append(data)


def tags(page):
    return Tags(page).tags


def test_the_page_asks_for_nothing_and_links_only_to_rules():
    found = Tags(as_html(MIXED))
    outside = {link for link in found.links if not link.startswith("#")} - {"data:,"}
    assert outside == {
        f"https://example.org/rules.md#{rule.rule.lower()}" for rule in MIXED.findings[:-1]
    }
    assert not re.search(r"url\(|@import|<link[^>]*stylesheet", as_html(MIXED))


@pytest.mark.parametrize("report", [MIXED, EVIL], ids=["mixed", "evil"])
def test_hostile_text_stays_text(report):
    found = Tags(as_html(report))
    kinds = Counter(tag for tag, *_ in found.tags)
    assert kinds["script"] == 1 and kinds["img"] == 0 and kinds["style"] == 1
    assert any(printable(HOSTILE) in text for text in found.texts)


def test_the_policy_names_the_script_that_is_in_the_page():
    import base64
    import hashlib

    page = as_html(MIXED)
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy and "unsafe" not in policy


def test_rings_show_what_part_held():
    page = as_html(MIXED)
    streaming = page[page.index("#section-1") : page.index("#section-2")]
    assert re.findall(r'part-(\w+)" stroke-dasharray="([\d.]+)', streaming) == [
        ("PASS", "33.333"),
        ("WARN", "33.333"),
        ("FAIL", "33.333"),
    ]
    assert ">1/3</text>" in streaming


def test_bars_show_how_long_each_chunk_was_waited_for():
    page = as_html(MIXED)
    bars = re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', page)[:4]
    ends = [float(left) + float(width) for left, width in bars]
    assert ends == pytest.approx([2.85, 3.65, 34.25, 100], abs=0.2)
    assert float(bars[3][0]) == pytest.approx(34.25, abs=0.1)


@pytest.mark.parametrize("times", [[0.0, 0.0], [5.0, 1.0, 2.0], [-1.0, 2.0]])
def test_bars_stay_in_their_frame(times):
    call = Exchange("stream", None, [(at, "x") for at in times])
    failed = finding("S1", Verdict.FAIL, exchanges=[call], fault=Fault.MODEL)
    for left, width in re.findall(
        r'<rect x="([^"]+)" y="0" width="([^"]+)"', as_html(Report("m", [failed]))
    ):
        assert 0 <= float(left) < float(left) + float(width) <= 100.01


def test_no_form_has_emoji():
    for write in REPORTS.values():
        said = write(replace(MIXED, findings=MIXED.findings[:5])) + write(EMPTY)
        assert not re.search(
            "[\u2190-\u2bff\U0001f000-\U0001ffff\ufe0f]", said.replace("日本語", "")
        )


def test_labels_are_dim_and_what_they_tell_is_not():
    said = as_text(MIXED, color=True)
    (line,) = [each for each in said.splitlines() if "core had to add it" in each][:1]
    assert line == "\x1b[2m  got       \x1b[0mcore had to add it"
