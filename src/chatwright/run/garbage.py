"""Python's garbage collector, for processes in which many answers are made at once."""

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["rarely_collected"]

_YOUNG = 20_000
"""How many new objects there may be before garbage is looked for."""
_OLDER = 20


@contextlib.contextmanager
def rarely_collected(*, is_ours: bool) -> Iterator[None]:
    """Have the garbage collector look at less: what lives until its answer ends is no garbage.

    At Python's own thresholds most of the time of a hundred streams goes into looking for garbage
    among their chunks, and among all modules.

    Args:
        is_ours: Whether the process is there for this alone, so that what lives now may live on.
    """
    before = gc.get_threshold()
    if is_ours:
        gc.collect()
        gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
