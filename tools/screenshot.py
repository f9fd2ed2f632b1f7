"""Write docs/serve.png: the page of `chatwright serve` with an answer of SmolLM2's, inspected."""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).parents[1] / "docs" / "serve.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
LARGEST = 300_000


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Run `chatwright serve`, and give its address."""
    command = [sys.executable, "-m", "chatwright", "serve", "smollm2", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stderr is not None  # noqa: S101  it is a pipe
        told = next(filter(None, (re.search(r" at (http\S+)", line) for line in process.stderr)))
        try:
            yield told[1]
        finally:
            process.terminate()


def asked(page: Page, prompt: str) -> None:
    """Ask, wait for the answer, and open its inspector."""
    page.locator("html[data-ready]").wait_for()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("temperature").fill("0")
    page.get_by_label("max_tokens").fill("120")
    page.keyboard.press("Escape")
    page.locator("#prompt").fill(prompt)
    page.keyboard.press("Enter")
    inspect = page.get_by_role("button", name="Inspect", exact=True)
    page.get_by_role("button", name="Retry").wait_for()
    inspect.click()
    page.get_by_role("tab", name="Timeline").wait_for()
    page.locator("#log").evaluate("(log) => log.scrollTo(0, 0)")
    page.locator("#prompt").evaluate("(prompt) => prompt.blur()")
    page.mouse.move(640, 796)


def main(prompt: str) -> None:
    """Serve, ask and photograph.

    Args:
        prompt: What SmolLM2 is asked.
    """
    with served() as address, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(180_000)
        page.goto(address)
        asked(page, prompt)
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURE)
        browser.close()
    size = PICTURE.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{PICTURE} has {size} bytes; {LARGEST} are the limit")
    print(f"{PICTURE}: {size} bytes")  # noqa: T201  it is a program


if __name__ == "__main__":
    main(*sys.argv[1:])
