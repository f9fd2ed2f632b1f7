"""What of a command is secret, and the environment variables that hold it instead."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["Secrets", "is_key", "is_secret", "looks_random"]

_NAMES = re.compile(
    r"auth|key|token|secret|session|csrf|xsrf|passw|signature|credential|cookie|^sig$|^jwt$",
    re.IGNORECASE,
)
_NO_SECRETS = re.compile(
    r"max.?(new.?|output.?|completion.?)?tokens|tokens$|^keep|keywords?$", re.IGNORECASE
)
_SCHEME = re.compile(r"(Bearer|Basic|Token|ApiKey|Api-Key|Key)\s+(?=\S)", re.IGNORECASE)
_KEY_FIELD = re.compile(
    r"(api|app)?[_-]?key|(access|auth|api)?[_-]?token|authorization|secret|password|passwd",
    re.IGNORECASE,
)
_KEY_START = re.compile(r"((sk|pk|rk|gsk|hf|xai|ghp|glpat|xox[a-z])[-_]|AIza|eyJ)[A-Za-z0-9_-]{8}")
_RANDOM = 20
"""Letters and digits from which on a text without spaces may be a secret."""


def is_secret(name: str, value: str) -> bool:
    """Tell whether a header, a parameter or a field may hold a secret: by its name, or its look."""
    return bool(value) and (
        (bool(_NAMES.search(name)) and not _NO_SECRETS.search(name)) or looks_random(value)
    )


def is_key(name: str, value: str) -> bool:
    """Tell whether a field of a body is a key: by its name, or by how keys begin."""
    return bool(value) and bool(_KEY_FIELD.fullmatch(name) or _KEY_START.match(value))


def looks_random(value: str) -> bool:
    """Tell whether a text looks as keys do: long, in one piece, of letters and digits."""
    if len(value) < _RANDOM or re.search(r"\s|/", value):
        return False
    return bool(re.search(r"\d", value) and re.search(r"[A-Za-z]", value))


class Secrets:
    """The secrets of a command, by the environment variables that are to hold them.

    Args:
        url: Where the command goes, which the variables are named after.
        variables: The variables that the command itself uses.
    """

    def __init__(self, url: str, variables: Mapping[str, str]) -> None:
        """Start with none."""
        self.environment: dict[str, str] = {}
        self._given = {value: name for name, value in variables.items() if value}
        labels = (urlsplit(url).hostname or "").split(".")
        named = [each for each in labels if each not in {"api", "www", "localhost"}]
        is_name = len(labels) > 1 and not labels[-1].isdigit() and named
        word = named[-2] if is_name and len(named) > 1 else named[0] if is_name else "llm"
        self._prefix = re.sub(r"\W", "_", word).upper()

    def hide(self, what: str, value: str) -> tuple[str, str]:
        """Return the variable that is to hold a secret, and what stands before the secret.

        Args:
            what: What it is, such as `key`.
            value: The secret, behind its scheme perhaps: `Bearer KEY`.
        """
        scheme = found[0] if (found := _SCHEME.match(value)) else ""
        secret = value[len(scheme) :]
        name = (
            self._given.get(secret)
            or f"{self._prefix}_{re.sub(r'[^A-Za-z0-9]', '_', what)}".upper()
        )
        while self.environment.get(name, secret) != secret:
            name += "_2"
        self.environment[name] = secret
        return name, scheme

    def place(self, what: str, value: str) -> str:
        """Return what stands in the file for a secret."""
        name, scheme = self.hide(what, value)
        return f"{scheme}${{env:{name}}}"
