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
    longest = max(map(len, markers), default=0)
    for start in range(max(at, len(text) - longest + 1), len(text)):
        tail = text[start:]
        if any(marker.startswith(tail) for marker in markers):
            return start
    return len(text)
