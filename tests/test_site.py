"""The documentation as a site: it is whole, needs nothing from elsewhere, and can be searched."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import chatwright
from chromium import NEEDED, browser  # noqa: F401

ROOT = Path(__file__).parents[1]
LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[each] for each in ("id", "name") if given.get(each)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in LOADING and given.get(LOADING[tag]) and given.get("rel") != "canonical":
            self.loads.append(given[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "src/chatwright"):
        ignored = shutil.ignore_patterns("__pycache__", "template")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "mkdocs.yml", folder)
    done = subprocess.run(
        [Path(sys.executable).parent / "zensical", "build", "--strict"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "No issues found" in said
    assert "griffe" not in said, said
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_link_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.exists() and target.is_relative_to(site)
            if not there or (
                target in pages and unquote(parts.fragment) not in pages[target].anchors
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert [each for each in broken if not each.startswith("404.html")] == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        outside = [each for each in page.loads if urlsplit(each).scheme not in {"", "data"}]
        assert outside == [], path
    for path in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", path.read_text()) == [], path


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    def leaves(node):
        if isinstance(node, str):
            yield node
        for each in (
            node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        ):
            yield from leaves(each)

    named = {*leaves(config["nav"])} - {"Chatwright"}
    there = {str(each.relative_to(ROOT / "docs")) for each in (ROOT / "docs").rglob("*.md")}
    assert named == there


def test_every_public_name_is_documented(site):
    shown = Page((site / "reference" / "api.html").read_text()).anchors
    names = {each.rpartition(".")[2] for each in shown}
    assert set(chatwright.__all__) <= names


@NEEDED
@pytest.mark.long
def test_the_search_works_from_a_folder(site, browser):  # noqa: F811
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("stop sequences", delay=20)
    page.get_by_role("link", name=re.compile("Stop sequences", re.IGNORECASE)).first.wait_for()
    assert [each for each in asked if not each.startswith(("file:", "data:", "blob:"))] == []
    page.close()
