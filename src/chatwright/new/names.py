"""What a package may be called."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution

from chatwright.errors import PackageError

__all__ = ["checked"]

_PREFIX = "langchain-"
_LENGTH = 40
"""How many characters a name may have, so that a line with the module and the class fits."""
_NAME = re.compile(r"langchain(-[a-z][a-z0-9]*)(-[a-z0-9]+)*")


def checked(name: str) -> str:
    """Return the name of a package, if it can have that.

    Args:
        name: As in `langchain-acme`.

    Raises:
        PackageError: It is not in LangChain's form, or belongs to a package that is installed.
    """
    if len(name) > _LENGTH:
        raise PackageError(f"{name!r} is longer than {_LENGTH} characters")
    if not _NAME.fullmatch(name):
        bare = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("langchain")).strip("-")
        fits = _NAME.fullmatch(_PREFIX + bare)
        hint = f"; {_PREFIX + bare!r} does" if fits else ""
        raise PackageError(
            f"{name!r} does not fit a package for LangChain: langchain-, then lower-case letters, "
            f"digits and hyphens, a letter first{hint}"
        )
    with suppress(PackageNotFoundError):
        found = distribution(name).version
        raise PackageError(f"{name!r} is taken: its version {found} is installed; take another")
    return name
