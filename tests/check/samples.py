"""Reports to look at: every verdict, and texts that would like to break out."""

from chatwright.checks.finding import Exchange, Fault, Finding, Report, Severity, Verdict

PAGE = "https://example.org/rules.md#"
HOSTILE = (
    "</script></style></title></textarea>]]><script>window.hacked=1</script>"
    "<img src=x onerror='window.hacked=1'>&lt;b&gt;${main} $$title %0A ::error::no "
    "[bold red]markup[/] :smile: \x1b[31mred\x1b[0m \x00\x08\x9b \ufffe \ud800 \u202ereversed "
    "日本語 ñandú\r\nnext\rline, a:b"
)
LONG = "x" * 400


def finding(rule, verdict, section="Streaming", title="All chunks share one `id`", **more):
    link = more.pop("link", f"{PAGE}{rule.lower()}")
    return Finding(
        rule=rule,
        title=title,
        section=section,
        verdict=verdict,
        link=link,
        seconds=0.1234,
        **more,
    )


CALL = Exchange(
    "astream",
    {"path": "/chat", "messages": [{"role": "user", "content": HOSTILE}], "stream": True},
    [(10.0, "'The '"), (10.1, "'cat '"), (120.0, f"'{LONG}'"), (350.4, HOSTILE)],
)
RAISED = Exchange("invoke", None, (), f"RuntimeError: {HOSTILE}")
MODEL = Fault.MODEL
FINDINGS = [
    finding("B1", Verdict.PASS, "Basics"),
    finding("B2", Verdict.PASS, "Basics"),
    finding("S1", Verdict.PASS),
    finding(
        "S2",
        Verdict.WARN,
        severity=Severity.WARNING,
        fault=MODEL,
        got="core had to add it",
        expected="the model's own",
        fix="End `_stream` with it.",
        exchanges=[CALL],
    ),
    finding("S3", Verdict.SKIP, got="it needs a backend that plays a script"),
    finding(
        "S4",
        Verdict.FAIL,
        fault=MODEL,
        sent=HOSTILE,
        got=HOSTILE * 2,
        expected="one id",
        fix="Leave `id` unset.",
        exchanges=[CALL, RAISED],
    ),
    finding("T1", Verdict.WARN, "Tools", fault=Fault.LLM, got="it did not call", expected="a call"),
    finding("E1", Verdict.SKIP, "Errors", fault=Fault.CHECK, got="the rule crashed: KeyError: 1"),
    finding("E2", Verdict.SKIP, "Errors", got=f"a long reason {LONG}"),
    finding(
        "test_with_a_long_name_of_langchain_tests",
        Verdict.FAIL,
        "langchain-tests",
        layer="langchain-tests",
        fault=MODEL,
        got=f"AssertionError: {LONG}",
        link="javascript:window.hacked=1",
    ),
]
VERSIONS = {"python": "3.11.7", "chatwright": "0.1.0", "langchain-core": "1.7.2"}
MIXED = Report("models.ChatSomething", FINDINGS, 57, 8.25, VERSIONS)
GREEN = Report("ChatGood", [finding(f"B{n}", Verdict.PASS, "Basics") for n in range(1, 8)], 1, 0.5)
EMPTY = Report("ChatNothing", [])
EVIL = Report(HOSTILE, [finding(HOSTILE, Verdict.FAIL, HOSTILE, HOSTILE, got=HOSTILE)])
REPORTS_MADE = {"mixed": MIXED, "green": GREEN, "empty": EMPTY, "evil": EVIL}
