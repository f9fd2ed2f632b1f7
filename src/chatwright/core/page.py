"""Pages of HTML that need nothing else: no network, no other file. No script runs but their own.

What others said gets into a page as text of elements only, which is escaped where it is written.
"""

import base64
import hashlib
import re
from importlib import resources
from string import Template
from xml.etree import ElementTree as ET

__all__ = ["element", "framed", "printable", "written"]

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, which act on a terminal and can't be in XML; what turns the direction of the
text around it; halves of surrogate pairs."""


def printable(value: object) -> str:
    """Return a text with the characters that act, or can't be shown, written as escapes.

    Tabs and line feeds stay.
    """
    text = value if isinstance(value, str) else repr(value)
    return _UNPRINTABLE.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def framed(text: str) -> tuple[Template, str]:
    """Return a page's frame, and the policy that lets only its own style and script work.

    Args:
        text: The frame; `$style` in its style stands for what all pages have in common.
    """
    style = (resources.files(__package__) / "page.css").read_text("utf-8")
    text = text.replace("$style", style, 1)
    allowed = []
    for tag in ("style", "script"):
        for inside in re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            allowed.append(f"{tag}-src 'sha256-{digest}'")
    policy = f"default-src 'none'; {'; '.join(allowed)}; img-src data:"
    return Template(text), f"{policy}; base-uri 'none'; form-action 'none'"


def written(made: ET.Element) -> str:
    """Return an element as HTML."""
    return ET.tostring(made, encoding="unicode", method="html")


def element(tag: str, *inside: "ET.Element | str | None", **attributes: str) -> ET.Element:
    """Return an element; its text can be shown, and is escaped where it is written out.

    Args:
        tag: Its name.
        *inside: Elements and texts; None for nothing.
        **attributes: By their names, `_` for `-`, and one at the end of what Python reserves.
    """
    names = {
        name.rstrip("_").replace("_", "-"): printable(value) for name, value in attributes.items()
    }
    made = ET.Element(tag, names)
    for each in inside:
        if isinstance(each, ET.Element):
            made.append(each)
        elif each and len(made):
            made[-1].tail = (made[-1].tail or "") + printable(each)
        elif each:
            made.text = (made.text or "") + printable(each)
    return made
