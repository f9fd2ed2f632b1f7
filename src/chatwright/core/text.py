"""Looking for markers in text that comes in pieces."""

from collections.abc import Sequence

__all__ = ["partial_start"]


def partial_start(text: str, markers: Sequence[str], at: int = 0) -> int:
    """Return where the longest tail of `text` starts that may begin one of `markers`.

    Args:
        text: What has come so far, with none of the markers complete in it.
        markers: None of them empty.
        at: Where to begin to look.

    Returns:
        An index into `text`; its length, if no marker can have begun.
    """
    first = len(text)
    for marker in markers:
        start = text.find(marker[0], max(at, len(text) - len(marker) + 1), first)
        while start >= 0 and not marker.startswith(text[start:]):
            start = text.find(marker[0], start + 1, first)
        if start >= 0:
            first = start
    return first
