"""The files of the page: what is vendored is what its table says, and all of it is small."""

import gzip
import hashlib
import re
from pathlib import Path

import chatwright

PAGE = Path(chatwright.__file__).parent / "run/serve/page"
VENDOR = PAGE / "vendor"
ROW = re.compile(
    r"^\| `(\S+)` \| (\S+) \| (\d+\.\d+\.\d+) \| [^|]+ \| [^|]+ \| `([0-9a-f]{64})` \|$",
    re.MULTILINE,
)
MOST = 150_000


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_what_is_vendored_is_what_the_table_says():
    rows = {path: digest for path, _, _, digest in ROW.findall((VENDOR / "README.md").read_text())}
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(VENDOR)
        if path.name not in {"README.md", "LICENSE"}
    }
    assert rows == found


def test_every_library_has_its_licence_beside_it():
    folders = [path for path in VENDOR.iterdir() if path.is_dir()]
    assert len(folders) >= 3
    for folder in folders:
        assert "permission" in (folder / "LICENSE").read_text().lower()


def test_the_page_is_small():
    served = [path for path in files(PAGE) if path.name not in {"README.md", "LICENSE"}]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in served) <= MOST


def test_the_page_names_no_other_place():
    for path in files(PAGE):
        if VENDOR in path.parents:
            continue
        text = path.read_text()
        for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text):
            before = text[: text.index(url)].rpartition("\n")[2]
            assert before.lstrip().startswith(("//", "*", "/*")) or "127.0.0.1" in url, (
                path.name,
                url,
            )


def test_modules_are_small():
    for path in PAGE.glob("*.js"):
        assert len(path.read_text().splitlines()) <= 400, path.name
