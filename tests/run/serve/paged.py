"""The page of `chatwright serve` in real Chromium: import `opened`, a fixture of pytest's."""

import pytest

from chromium import DESK, browser

__all__ = ["answered", "axe", "browser", "button", "ended", "opened", "ready", "say", "sent"]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WATCH = """
addEventListener("securitypolicyviolation", (e) =>
  console.error("CSP", e.violatedDirective, e.blockedURI));
"""


@pytest.fixture
def opened(browser):
    """Opens a server's page; nothing must go wrong in it, and nothing be asked of others."""
    contexts, said, asked = [], [], []

    def open_page(served, *, viewport=DESK, init="", fails=False, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(WATCH + init)
        if not fails:  # a refusal is the browser's to tell of, too
            page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append((served.url, request.url)))
        page.goto(served.url)
        if not fails:
            ready(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for own, url in asked if not url.startswith((own, "data:", "blob:"))] == []


def ready(page):
    page.locator("html[data-ready]").wait_for()


def say(page, text):
    """Send a message."""
    page.locator("#prompt").fill(text)
    page.keyboard.press("Enter")


def sent(page, text):
    """Send a message, wait for the end of its answers, and return the last one's text."""
    before = page.locator(".turn").count()
    say(page, text)
    page.locator(".turn").nth(before).wait_for()
    return ended(page)


def ended(page):
    page.locator("#send").wait_for()
    return page.locator(".answer .prose").last.inner_text()


def answered(page, text):
    """Wait until an answer has a text."""
    page.locator(".prose", has_text=text).last.wait_for()


def button(page, name, **options):
    return page.get_by_role("button", name=name, **options)


def axe(page):
    """Return what axe-core finds that keeps people out, each with its first element."""
    library = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="the extra test has it"
    )
    found = library.Axe().run(page, options={"runOnly": TAGS}).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
