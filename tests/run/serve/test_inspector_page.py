"""The inspector and the check in real Chromium: what a reader sees, and can do by the keyboard."""

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chatwright import chat_model, load
from chatwright.run.serve.keys import add_key
from chromium import DESK, NEEDED, PHONE, browser

from .conftest import Endless, chatty, eventually
from .paged import axe
from .test_inspector import weather_agent

__all__ = ["browser"]  # pytest's fixture

pytestmark = NEEDED

ALONE = Path(__file__).with_name("page")
KINDS = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
NASTY = 'It\'s "quoted": $HOME `id` \\ back\nnew\tline {x} %s 東京 🦜 \u007f </script>'
STEPS = 10_000


@pytest.fixture
def opened(browser, serving):
    """Opens a page with the inspector alone; afterwards nothing must have gone wrong in it."""
    contexts, said = [], []

    def open_page(models=None, *, viewport=DESK, expected=(), served=None, **options):
        server = serving(models or {"m": chatty(), "agent": weather_agent()}, **(served or {}))
        policy = server.client.get("/page/inspector.js").headers["content-security-policy"]

        def fulfill(route):
            path = ALONE / (route.request.url.rpartition("/")[2])
            route.fulfill(
                body=path.read_text("utf-8"),
                content_type=f"{KINDS[path.suffix]}; charset=utf-8",
                headers={"Content-Security-Policy": policy},
            )

        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.asked = []
        told = lambda text: any(each in text for each in expected) or said.append(text)  # noqa: E731
        page.on("console", lambda message: told(message.text))
        page.on("pageerror", lambda error: told(str(error)))
        page.on("request", lambda request: page.asked.append(request.url.removeprefix(server.url)))
        page.route("**/index.html", fulfill)
        page.route("**/alone.*", fulfill)
        page.goto(f"{server.url}/index.html")
        page.locator("html[data-ready]").wait_for()
        page.server = server
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def ask(page, model="m", *, open_it=True, headers=None, **body):
    request = {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}
    page.evaluate("([request, headers]) => ask(request, headers)", [request, headers or {}])
    if open_it:
        page.evaluate("inspector.open()")
    return page.evaluate("got")


def figures(page):
    """Return the figures by their names."""
    region = page.locator(".in-inspector > .in-figures")
    names = region.locator("dt").all_text_contents()
    return dict(zip(names, region.locator("dd").all_text_contents(), strict=True))


def rows(page):
    """Return what the timeline's rows say: the event, and what came."""
    found = page.locator(".in-row")
    return [
        (row.locator(".in-label").inner_text(), row.locator(".in-text").inner_text())
        for row in found.all()
    ]


def tab(page, name):
    return page.get_by_role("tab", name=name, exact=True)


def show(page, count, first=0, last=None, **request):
    """Show an answer of so many pieces, or some of what is told of it."""
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **request}
    page.evaluate(
        "([request, count, ...part]) => show(request, answer(count).slice(...part))",
        [request, count, first, 2**31 if last is None else last],
    )
    page.evaluate("inspector.open()")


class TestTimeline:
    def test_what_it_counts_is_what_the_stream_told(self, opened):
        page = opened()
        got = ask(page)
        told = [each for each in got if each["type"] == "event"]
        chunks = [e["data"]["chunk"] for e in told if e["event"] == "on_chat_model_stream"]
        spoken = [each for each in chunks if each["text"] or each["reasoning"]]
        shown = figures(page)
        assert shown["Pieces"] == str(len(spoken)) == "6"
        assert (shown["Tokens"], shown["Ended by"]) == ("7 in, 5 out", "stop")
        assert shown["Model"] == "chatty" and shown["Speed"].endswith(" tokens/s")
        assert page.locator(".in-row").count() == len(told)
        own = [text for label, text in rows(page) if label == "text"]
        assert "".join(own).replace("·", " ") == "The cat sät on 東京."

    def test_an_agents_runs_are_a_tree(self, opened):
        page = opened()
        got = ask(page, "agent")
        starts = [e for e in got if e.get("event", "").endswith("_start")]
        lines = page.get_by_role("list", name="Runs").get_by_role("listitem")
        assert lines.count() == len(starts)
        for line, start in zip(lines.all(), starts, strict=True):
            assert line.inner_text().startswith(start["name"])
            depth = len(start["parent_ids"])
            padding = line.locator(".in-name").first.evaluate("e => e.style.paddingInlineStart")
            assert float(padding.removesuffix("rem")) == pytest.approx(0.9 * depth)
            assert line.locator(".in-took").first.inner_text().endswith("s")
            around = line.locator("xpath=ancestor::li").all()  # who can't see the indent has these
            assert [each.locator(".in-name").first.get_attribute("title") for each in around] == [
                *start["parent_ids"]
            ]
        assert page.locator(".in-row").count() == sum(e["type"] == "event" for e in got)
        assert ("weather on_tool_end", "sunny in Zürich") in rows(page)
        assert figures(page)["Speed"].endswith(" pieces/s")  # its tokens are not all its own

    def test_an_events_data_unfolds(self, opened):
        page = opened()
        ask(page, "agent")
        row = page.locator(".in-row", has_text="on_tool_start")
        row.locator("summary").focus()
        page.keyboard.press("Enter")
        data = json.loads(row.locator("pre").inner_text())
        assert data["event"] == "on_tool_start" and data["input"] == {"city": "Zürich"}

    def test_pieces_of_calls(self, opened):
        function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
        page = opened()
        ask(page, tools=[{"type": "function", "function": function}])
        pieces = [text for label, text in rows(page) if label.startswith("call")]
        assert pieces[0].startswith("weather ") and "".join(pieces).endswith('"Zürich"}')
        assert any(text == 'weather({"city":"Zürich"})' for _, text in rows(page))

    def test_it_does_nothing_until_it_is_opened(self, opened):
        page = opened()
        ask(page, open_it=False)
        assert page.locator("#here *").count() == 0
        assert not [each for each in page.asked if "inspector.css" in each]
        page.evaluate("inspector.open()")
        assert page.locator("#here *").count() > 50
        page.evaluate("inspector.close()")
        assert page.locator("#here *").count() == 0

    def test_it_goes_on_while_it_is_open(self, opened):
        page = opened()
        show(page, 3, last=-2)
        expect(page.locator(".in-row")).to_have_count(4)
        page.evaluate("inspector.add(answer(3).at(-2))")
        expect(page.locator(".in-row")).to_have_count(5)
        assert figures(page)["Ended by"] == "stop"

    def test_ten_thousand_pieces_are_counted_and_not_all_drawn(self, opened):
        page = opened()
        show(page, STEPS)
        assert figures(page)["Pieces"] == "10,000"
        assert figures(page)["Speed"] == "500 tokens/s"
        assert page.locator("#here *").count() < 3_000
        assert page.locator(".in-row").last.inner_text().startswith(f"{11 + 2 * STEPS}")
        drawn = page.locator(".in-row").count()
        more = page.get_by_role("button", name="Show 500 more of")
        hidden = STEPS + 2 - drawn
        assert more.inner_text() == f"Show 500 more of {hidden:,} events"
        more.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".in-row")).to_have_count(drawn + 500)
        assert more.inner_text() == f"Show 500 more of {hidden - 500:,} events"
        assert more.evaluate("e => e === document.activeElement")
        page.get_by_label("Without the answer").check()
        expect(page.locator(".in-row")).to_have_count(2)
        assert figures(page)["Pieces"] == "10,000"

    def test_ten_thousand_pieces_that_come_while_it_is_open_are_drawn_by_the_frame(self, opened):
        page = opened()
        show(page, 1, last=-2)
        drawn = page.evaluate(
            """async (count) => {
              let changes = 0;
              const watch = new MutationObserver((found) => { changes += found.length; });
              watch.observe(document.getElementById("here"), {childList: true, subtree: true});
              for (const each of answer(count).slice(1, -1)) inspector.add(each);
              await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              return changes;
            }""",
            STEPS,
        )
        assert figures(page)["Pieces"] == f"{STEPS + 1:,}"
        assert drawn < 1_000

    def test_what_a_model_says_is_shown_and_not_executed(self, opened):
        evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
        page = opened({"m": chat_model(lambda messages: iter([evil]))})
        ask(page, messages=[{"role": "user", "content": evil}])
        for name in ("Request", "Prompt", "Code", "Timeline"):
            tab(page, name).click()
        assert (rows(page)[1]) == ("text", evil)
        assert page.locator("#here :is(img, script)").count() == 0
        assert page.evaluate("window.hacked") is None

    def test_an_error_is_told_at_once(self, opened):
        @chat_model
        def breaks(messages):
            yield "begun "
            raise RuntimeError("no")

        page = opened({"m": breaks})
        ask(page)
        assert (
            page.locator(".in-error").inner_text().startswith("500 the model failed with Runtime")
        )
        assert figures(page)["Ended by"] == "error"

    def test_it_is_kept_as_json_and_comes_back_the_same(self, opened):
        page = opened()
        ask(page, "agent")
        before = figures(page), rows(page)
        page.evaluate("again()")
        page.evaluate("inspector.open()")
        assert (figures(page), rows(page)) == before
        show(page, STEPS)
        assert page.evaluate("again()") < 25 * STEPS  # a piece takes few bytes
        page.evaluate("inspector.open()")
        assert figures(page)["Pieces"] == "10,000"

    def test_a_kept_one_of_another_version_is_refused_by_name(self, opened):
        page = opened()
        told = page.evaluate(
            """() => import("/page/inspector.js").then(({Inspector}) => {
              try { Inspector.fromJSON(document.body, {version: 99}); }
              catch (error) { return error.message; }
            })"""
        )
        assert "version 99" in told


class TestTabs:
    def test_the_keyboard_alone_suffices(self, opened):
        page = opened()
        ask(page)
        tab(page, "Timeline").focus()

        def press(key):
            page.keyboard.press(key)
            return page.evaluate("document.activeElement.textContent")

        assert press("ArrowRight") == "Gaps" and press("ArrowRight") == "Request"
        assert press("End") == "Code" and press("ArrowRight") == "Timeline"
        assert press("ArrowLeft") == "Code" and press("Home") == "Timeline"
        assert press("ArrowRight") == "Gaps"
        assert page.get_by_role("tabpanel", name="Gaps").is_visible()
        assert page.get_by_role("tabpanel").count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "tabpanel"
        page.keyboard.press("Shift+Tab")
        press("End")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "curl"
        assert press("End") == "Endpoint file"
        assert "chatwright chat" in page.get_by_role("tabpanel", name="Endpoint file").inner_text()

    def test_tabs_are_as_aria_has_them(self, opened):
        page = opened()
        ask(page)
        assert page.get_by_role("tablist").first.get_attribute("aria-label") == "Inspector"
        for each in page.get_by_role("tab").all():
            panel = page.locator(f"#{each.get_attribute('aria-controls')}")
            assert panel.get_attribute("aria-labelledby") == each.get_attribute("id")
            selected = each.get_attribute("aria-selected") == "true"
            assert panel.is_visible() is selected
            assert each.evaluate("e => e.tabIndex") == (0 if selected else -1)

    def test_gaps_are_a_plot_whose_library_is_loaded_for_it(self, opened):
        page = opened()
        show(page, 100)
        assert not [each for each in page.asked if "uPlot" in each]
        tab(page, "Gaps").click()
        page.locator("canvas").wait_for()
        plot = page.get_by_role("img")
        assert "99 gaps. Median 2.0 ms" in plot.get_attribute("aria-label")
        panel = page.get_by_role("tabpanel", name="Gaps")
        assert panel.locator("dd").all_text_contents() == ["2.0 ms"] * 4
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.set_viewport_size(PHONE)
        canvas = page.locator("canvas")  # another one, as colours and widths are uPlot's
        eventually(lambda: canvas.evaluate("e => e.clientWidth") < 340)

    def test_no_gap_is_told_so(self, opened):
        page = opened()
        show(page, 1)
        tab(page, "Gaps").click()
        assert "in one piece" in page.get_by_role("tabpanel", name="Gaps").inner_text()

    def test_the_prompt_is_asked_for_when_it_is_wanted(self, opened):
        page = opened()
        ask(page, temperature=0.5)
        assert "/inspector/explain" not in page.asked
        tab(page, "Prompt").click()
        block = page.get_by_role("region", name="The exact request")
        shown = json.loads(block.inner_text())
        assert shown["messages"] == [{"role": "user", "content": "hi"}]
        assert shown["temperature"] == 0.5
        tab(page, "Timeline").click()
        tab(page, "Prompt").click()
        assert page.asked.count("/inspector/explain") == 1

    def test_a_prompt_that_can_not_be_made_says_why(self, opened):
        page = opened(expected=["400 (Bad Request)"])
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
        show(page, 1, messages=[{"role": "user", "content": [image]}])
        tab(page, "Prompt").click()
        assert "image" in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Ask again").click()
        eventually(lambda: page.asked.count("/inspector/explain") == 2)
        page.get_by_role("alert").wait_for()

    def test_the_request_is_shown_and_copied_whole(self, opened):
        page = opened(permissions=["clipboard-read", "clipboard-write"])
        long = "x" * 5_000
        show(page, 1, messages=[{"role": "user", "content": long}])
        tab(page, "Request").click()
        panel = page.get_by_role("tabpanel", name="Request")
        assert "… (3,000 more characters)" in panel.inner_text()
        panel.get_by_role("button", name="Copy").click()
        panel.get_by_role("button", name="Copied").wait_for()
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert copied["messages"][0]["content"] == long


class TestCode:
    """What is copied runs, and asks for the same."""

    REQUEST = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "before"},
            {"role": "assistant", "content": "It's so."},
            {"role": "user", "content": NASTY},
        ],
        "temperature": 0.25,
        "stop": ["STOP", '"\\\x7f'],
        "max_completion_tokens": 40,
    }

    @pytest.fixture
    def code(self, opened):
        """Return a function that returns a page's code, the server, and what it was asked."""

        def made(served=None, headers=None, request=None):
            asked = []

            @chat_model
            async def echo(messages, temperature=None, max_tokens=None):
                texts = [each.text for each in messages]
                asked.append({"texts": texts, "temperature": temperature, "most": max_tokens})
                yield "höre"
                yield "n STOP nicht"

            page = opened({"m": echo}, served=served)
            page.evaluate(
                "([request, headers]) => show(request, [], headers)",
                [request or self.REQUEST, headers or {}],
            )
            page.evaluate("inspector.open()")
            tab(page, "Code").click()

            def of(name):
                tab(page, name).click()
                return page.get_by_role("tabpanel", name=name).locator("pre").text_content()

            return of, page.server, asked

        return made

    def asked_the_same(self, asked):
        (told,) = asked
        assert told["texts"] == [each["content"] for each in self.REQUEST["messages"]]
        assert (told["temperature"], told["most"]) == (0.25, 40)
        return True

    @staticmethod
    def run(*command, **environment):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def test_curl(self, code):
        of, _, asked = code()
        out = self.run("bash", "-c", of("curl"))
        chunks = [
            json.loads(line.removeprefix("data: "))
            for line in out.splitlines()
            if line.startswith("data: {")
        ]
        text = "".join(c["delta"].get("content") or "" for e in chunks for c in e["choices"])
        assert text == "hören " and self.asked_the_same(asked)

    @pytest.mark.parametrize("name", ["Python, openai", "Python, langchain-openai"])
    def test_python(self, code, name):
        of, _, asked = code()
        assert self.run(sys.executable, "-c", of(name)).strip() == "hören"
        assert self.asked_the_same(asked)

    @pytest.mark.parametrize("name", ["curl", "Python, openai", "Python, langchain-openai"])
    def test_tools_and_schemas_go_along(self, code, name):
        tool = {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "It's “so”: true, null",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string", "default": None}},
                    "additionalProperties": False,
                },
            },
        }
        request = {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [tool],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
        }
        of, _, asked = code(request=request)
        program = ["bash", "-c"] if name == "curl" else [sys.executable, "-c"]
        self.run(*program, of(name))
        (told,) = asked
        assert "weather" in "".join(told["texts"])  # it is taught by the prompt

    def test_an_endpoint_file(self, code, tmp_path):
        of, _, asked = code()
        path = tmp_path / "model.toml"
        path.write_text(of("Endpoint file"), "utf-8")
        assert tomllib.loads(path.read_text("utf-8"))["wire"] == "openai"
        messages = [(each["role"], each["content"]) for each in self.REQUEST["messages"]]
        assert load(str(path)).invoke(messages).text == "hören "
        assert self.asked_the_same(asked)
        chat = [sys.executable, "-m", "chatwright", "chat", "hi", "-m", str(path)]
        assert self.run(*chat, PYTHONPATH=os.pathsep.join(sys.path)).strip() == "hören"

    def test_an_endpoint_file_names_what_it_can_not_hold(self, code):
        of, *_ = code(request={**self.REQUEST, "frequency_penalty": 1, "tools": []})
        assert "# Parameters of a call, not of a file: frequency_penalty, tools." in (
            of("Endpoint file")
        )

    def test_a_key_is_named_and_never_shown(self, code, tmp_path):
        key = add_key(tmp_path / "keys.json", "ann")
        path = tmp_path / "model.toml"
        headers = {"Authorization": f"Bearer {key}"}
        of, _, asked = code({"api_keys": tmp_path / "keys.json"}, headers)
        names = ("curl", "Python, openai", "Python, langchain-openai", "Endpoint file")
        programs = [of(name) for name in names]
        assert not [each for each in programs if key in each]
        assert all("CHATWRIGHT_API_KEY" in each for each in programs)
        environment = {"CHATWRIGHT_API_KEY": key}
        assert "hören"[:4] in self.run("bash", "-c", programs[0], **environment)
        for each in programs[1:3]:
            assert self.run(sys.executable, "-c", each, **environment).strip() == "hören"
        path.write_text(programs[3], "utf-8")
        chat = [sys.executable, "-m", "chatwright", "chat", "hi", "-m", str(path)]
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        assert self.run(*chat, **environment).strip() == "hören"
        assert len(asked) == 4


async def many_findings():
    yield {"type": "rule", "rule": "B1"}
    common = {"section": "Streaming", "seconds": 0.25, "exchanges": [], "link": ""}
    common |= {"expected": "", "sent": "", "fix": "", "cause": "", "fault": None, "got": ""}
    yield {"type": "finding", **common, "rule": "B1", "title": "B holds", "verdict": "PASS"}
    yield {
        "type": "finding",
        **common,
        "rule": "S4",
        "title": "One id",
        "verdict": "FAIL",
        "got": "ids <b>a</b> and b",
        "fix": "Leave id unset.",
        "fault": "model",
        "exchanges": [{"way": "astream", "timeline": [[0.1, "x"]], "request": None}],
        "link": "javascript:window.hacked=1",
    }
    yield {"type": "finding", **common, "rule": "S3", "verdict": "SKIP", "title": "C", "got": "why"}
    yield {"type": "report", "passed": 1, "tried": 2, "summary": "1 of 2 rules hold: 1 FAIL"}


class TestCheck:
    def run(self, opened, check=many_findings, **options):
        page = opened(served={"checks": {"m": check}}, **options)
        page.evaluate("check('m')")
        page.get_by_role("button", name="Run the check").click()
        return page

    def test_findings_come_with_their_evidence_folded(self, opened):
        page = self.run(opened)
        status = page.locator(".in-check [role=status]")
        expect(status).to_contain_text("1 of 2 rules hold: 1 FAIL (")
        tally = page.get_by_role("list", name="So far").get_by_role("listitem")
        assert tally.all_text_contents() == ["1 passed", "1 failed", "1 skipped"]
        finding = page.get_by_role("list", name="Findings", exact=True).get_by_role("listitem")
        assert finding.count() == 1
        assert not page.get_by_text("Leave id unset.").is_visible()
        finding.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Leave id unset.")).to_be_visible()
        expect(page.get_by_text("ids <b>a</b> and b")).to_be_visible()
        assert '"astream"' in finding.locator("pre").inner_text()
        assert finding.locator("a").count() == 0
        page.get_by_text("2 rules passed or skipped").click()
        expect(page.get_by_text("B holds")).to_be_visible()

    def test_it_can_be_run_again(self, opened):
        page = self.run(opened, finding_out_slowly)
        again = page.get_by_role("button", name="Run it again")
        again.click()
        again.wait_for()
        assert page.asked.count("/inspector/check") == 2
        assert page.locator(".in-tally li").all_text_contents() == ["1 passed"]

    def test_a_rule_is_told_while_it_is_tried_and_can_be_stopped(self, opened):
        ended = []

        async def endless():
            try:
                yield {"type": "rule", "rule": "E4"}
                await asyncio.sleep(600)
            finally:
                ended.append(True)

        page = self.run(opened, endless)
        page.get_by_text("Trying E4").wait_for()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".in-check [role=status]")).to_have_text("Stopped.")
        assert not page.get_by_text("Trying E4").is_visible()
        eventually(lambda: ended)

    def test_an_error_is_told(self, opened):
        async def fails():
            yield {"type": "error", "message": "it would be called for real"}

        page = self.run(opened, fails)
        expect(page.locator(".in-check [role=status]")).to_have_text("it would be called for real")

    def test_a_model_that_can_not_be_checked_says_why(self, opened):
        page = opened(expected=["400 (Bad Request)"])
        page.evaluate("check('agent')")
        page.get_by_role("button", name="Run the check").click()
        expect(page.locator(".in-check [role=status]")).to_contain_text(
            "can't be checked from here"
        )


async def finding_out_slowly():
    async for each in many_findings():
        if each.get("rule") in (None, "B1"):
            yield each


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(opened, scheme, viewport):
    page = opened(color_scheme=scheme, viewport=viewport, served={"checks": {"m": many_findings}})
    ask(page, "agent")
    page.locator(".in-row summary").first.click()
    found = {"Timeline": axe(page)}
    for name in ("Gaps", "Request", "Prompt", "Code"):
        tab(page, name).click()
        page.wait_for_load_state("networkidle")
        found[name] = axe(page)
    page.evaluate("check('m')")
    page.get_by_role("button", name="Run the check").click()
    page.get_by_role("button", name="Run it again").wait_for()
    page.locator("summary.in-finding").first.click()
    found["Check"] = axe(page)
    assert found == {name: [] for name in found}


def test_nothing_is_wider_than_the_screen(opened):
    page = opened(viewport=PHONE, served={"checks": {"m": many_findings}})
    ask(page, "agent", messages=[{"role": "user", "content": "long" * 400}])
    for width in (320, 360, 700, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        for name in ("Timeline", "Gaps", "Request", "Prompt", "Code"):
            tab(page, name).click()
            assert page.evaluate("document.documentElement.scrollWidth") == width, name


def test_a_client_that_stops_an_answer_ends_it(opened):
    endless = Endless()
    page = opened({"m": endless.model})
    page.evaluate(
        """async () => {
          const {events} = await import("/page/api.js");
          const abort = new AbortController();
          const body = {model: "m", messages: [{role: "user", content: "hi"}]};
          try {
            for await (const each of events("/inspector/answer", body, {signal: abort.signal}))
              if (each.event === "on_chat_model_stream") abort.abort();
          } catch (error) { if (error.name !== "AbortError") throw error; }
        }"""
    )
    assert endless.closed.wait(20)
