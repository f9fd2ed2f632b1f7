"""The page of a report in real Chromium: what a reader sees, can do, and is safe from."""

from itertools import pairwise

import pytest
from playwright.sync_api import Error

from chatwright.checks.reports.html import as_html
from chatwright.checks.reports.words import printable
from check.samples import EMPTY, EVIL, GREEN, HOSTILE, MIXED
from chromium import DESK, NEEDED, PHONE, browser

__all__ = ["browser"]  # pytest's fixture

pytestmark = NEEDED
SEEN = "e => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})"

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const color = element.tagName === "text" ? style.fill : style.color;
    const [a, b] = [light(rgba(color)), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), node.data.trim().slice(0, 30), color]);
  }
  return found;
}"""
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5)
  .filter((e) => !e.matches(".jump"))
  .map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def opened(browser, httpserver):
    """Opens a report's page; afterwards nothing must have gone wrong in it."""
    contexts, said, asked = [], [], []

    def open_page(report=MIXED, *, viewport=DESK, anchor="", **options):
        httpserver.expect_request("/report.html").respond_with_data(
            as_html(report), content_type="text/html; charset=utf-8"
        )
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(httpserver.url_for("/report.html") + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked} == {httpserver.url_for("/report.html")}
    assert {request.path for request, _ in httpserver.log} == {"/report.html"}


def button(page, name):
    return page.get_by_role("button", name=name)


def open_all(page):
    button(page, "Open all").click()
    return page


def visible(page):
    return [row.get_attribute("id") for row in page.locator(".rule").all() if row.is_visible()]


def test_a_page_asks_for_nothing_and_complains_of_nothing(opened):
    for report in (MIXED, GREEN, EMPTY, EVIL):
        page = opened(report)
        page.wait_for_load_state("networkidle")
        assert page.title() == " ".join(page.title().split()) != ""


@pytest.mark.parametrize("report", [MIXED, EVIL], ids=["mixed", "evil"])
def test_hostile_text_is_shown_and_not_executed(opened, report):
    page = open_all(opened(report))
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0
    assert page.locator("[onerror]").count() == 0
    shown = [text.strip() for text in page.locator("dd").all_text_contents()]
    assert any(text.startswith(printable(HOSTILE)) for text in shown)
    assert page.locator("a[href^='javascript']").count() == 0


def test_what_gets_into_the_page_all_the_same_does_not_run(browser):
    page = browser.new_page()
    page.set_content(as_html(MIXED))
    with pytest.raises(Error, match="Content Security Policy"):
        page.add_script_tag(content="window.hacked = 1")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hacked=1>')")
    page.wait_for_timeout(100)
    assert page.evaluate("window.hacked") is None
    page.close()


@pytest.mark.parametrize("report", [MIXED, EVIL, EMPTY], ids=["mixed", "evil", "empty"])
def test_nothing_is_wider_than_the_screen(opened, report):
    page = opened(report, viewport=PHONE)
    if report.findings:
        open_all(page)
    for width in (320, 360, 700, 710, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(TOO_WIDE) == []


def test_a_row_opens_by_a_click(opened):
    page = opened()
    fix = page.locator("#S4 dd", has_text="Leave id unset.")
    assert not fix.is_visible()
    page.locator("#S4 > summary").click()
    assert fix.is_visible()
    assert page.locator("#S4 pre").first.is_visible()
    assert page.locator("#S4 .time li").count() == 4
    page.locator("#S4 > summary").click()
    assert not fix.is_visible()


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_row_opens_by_the_keyboard(opened, key):
    page = opened()
    button(page, "Open all").focus()
    for _ in range(6):  # B1, B2, S1, S2, S3, S4
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.parentElement.id") == "S4"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press(key)
    assert page.locator("#S4 dl").is_visible()


def test_everything_is_reached_by_the_keyboard_in_the_order_of_the_page(opened):
    page = opened()
    tops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "(() => { const e = document.activeElement; return e === document.body ? null :"
            " [e.textContent.trim().split(/\\s+/).slice(0, 2).join(' '),"
            "  e.getBoundingClientRect().top + scrollY] })()"
        )
        if here is None:
            break
        tops.append(here)
    names = [name for name, _ in tops]
    assert names[0] == "To the" and {"All 10", "FAIL 2", "Open all", "PASS B1", "FAIL S4"} <= {
        *names
    }
    assert sum(name.split()[0] in {"PASS", "FAIL", "WARN", "SKIP", "CRASH"} for name in names) == 15


def test_filters_filter(opened):
    page = opened()
    everything = visible(page)
    assert len(everything) == 10
    status = page.get_by_role("status")
    for name, ids in [
        ("FAIL 2", ["S4", "test_with_a_long_name_of_langchain_tests"]),
        ("CRASH 1", ["E1"]),
        ("WARN 2", ["S2", "T1"]),
        ("SKIP 2", ["S3", "E2"]),
        ("PASS 3", ["B1", "B2", "S1"]),
    ]:
        button(page, name).click()
        assert visible(page) == ids, name
        assert page.locator("button[aria-pressed=true]").all_text_contents() == [name]
        assert status.text_content() == f"{len(ids)} rule{'s' * (len(ids) != 1)} shown"
    assert not page.locator("h2", has_text="Tools").is_visible()
    button(page, "All 10").focus()
    page.keyboard.press("Enter")
    assert visible(page) == everything and page.locator("h2", has_text="Tools").is_visible()


def test_a_green_report_has_no_filters_for_what_there_is_not(opened):
    page = opened(GREEN)
    assert page.locator("#filters button").all_text_contents() == ["All 7", "PASS 7", "Open all"]


def test_open_all_opens_what_is_shown(opened):
    page = opened()
    button(page, "FAIL 2").click()
    open_all(page)
    assert page.locator("details[open]").count() == 2
    button(page, "Close all").click()
    assert page.locator("details[open]").count() == 0
    button(page, "All 10").click()
    assert button(page, "Open all").is_visible()


def test_a_link_to_a_rule_opens_it_filtered_or_not(opened):
    page = opened(anchor="#S2")
    assert page.locator("#S2 dl").is_visible()
    button(page, "PASS 3").click()
    assert not page.locator("#S2").is_visible()
    page.get_by_role("link", name="S4").click()
    page.locator("#S4 dl").wait_for()
    top = "document.querySelector('#S4').getBoundingClientRect().top"
    assert 0 <= page.evaluate(top) < 700
    page.locator("#S4 > summary").click()
    page.get_by_role("link", name="S4").first.click()  # again, though the address stays the same
    page.locator("#S4 dl").wait_for()


def test_without_javascript_everything_can_be_read(opened):
    page = opened(java_script_enabled=False, viewport=PHONE)
    assert not page.locator("#filters").is_visible()
    assert page.locator("#S4 .why").is_visible()
    page.locator("#S4 > summary").click()
    assert page.locator("#S4 dd", has_text="Leave id unset.").is_visible()
    assert page.locator("h1").text_content() == MIXED.model
    assert len([row for row in page.locator(".rule").all() if row.is_visible()]) == 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(opened, scheme):
    page = open_all(opened(color_scheme=scheme))
    found = page.evaluate(CONTRAST)
    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []


def test_light_and_dark_differ(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(color_scheme=each).evaluate(ground) for each in ("light", "dark"))
    assert light != dark


def test_machines_that_read_aloud_find_their_way(opened):
    page = open_all(opened())
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title().startswith("models.ChatSomething: 3 of 7 rules hold")
    headings = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map((e) => +e.tagName[1])"
    )
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len({*ids})
    named = page.evaluate(
        "[...document.querySelectorAll('a, button')].every((e) => e.textContent.trim())"
    )
    assert named
    targets = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].every("
        "(e) => document.getElementById(e.getAttribute('href').slice(1)))"
    )
    assert targets
    card = page.get_by_role("link", name="Streaming 1 of 3 hold, 1 FAIL, 1 WARN, 1 SKIP")
    assert card.count() == 1
    assert page.get_by_role("region", name="Streaming").count() == 1


def test_print_shows_the_evidence_without_a_click(opened):
    page = opened()
    fix = page.locator("#S4 dd", has_text="Leave id unset.")
    assert not fix.evaluate(SEEN)
    page.emulate_media(media="print")
    assert fix.evaluate(SEEN) and fix.bounding_box()["height"] > 5
    assert not page.locator("#filters").is_visible()
    assert not page.locator("#B1 .body").is_visible()
