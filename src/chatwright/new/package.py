"""Makes a package of the template, by copier."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

from chatwright.errors import MissingExtraError, PackageError
from chatwright.new.names import checked
from chatwright.new.server import Server, server

__all__ = ["KINDS", "create"]

KINDS = ("function", "class", "endpoint", "gguf", "command", "agent")
"""What may stand behind the model of a package."""
_TEMPLATE = Path(__file__).parent / "template"
_WEIGHTS = "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct"
_ADDRESSES = ("repository", "source", "source code")
"""What projects call the address of their repository in their metadata."""


def create(
    name: str,
    *,
    kind: str = "class",
    folder: Path | None = None,
    endpoint: Path | None = None,
    author: str | None = None,
    api: str | None = None,
    template: str | None = None,
) -> Path:
    """Make a package around a chat model, in a folder that is not there yet, and return the folder.

    Args:
        name: The package's name, as in `langchain-acme`; its class is `ChatAcme`.
        kind: What stands behind the model: one of `KINDS`.
        folder: Where it goes. Default: a folder of its name, here.
        endpoint: An endpoint file to begin with, for the kind `endpoint`. Default: OpenAI's wire.
        author: Who publishes it. Default: Git's `user.name`.
        api: Where the LLM, or its API, is described. Default: the server, or a place to fill in.
        template: The Git address of the template, with a tag per version, for `copier update`.
            Default: the template of this installation; `copier update` then takes what the
            project's metadata name.

    Raises:
        MissingExtraError: The extra `new` is not installed.
        PackageError: The name does not fit, the folder is there, or the template is not.
        LoadError: Something is wrong with the endpoint file; with line and key.
    """
    checked(name)
    if kind not in KINDS:
        raise PackageError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    if endpoint is not None and kind != "endpoint":
        raise PackageError(f"an endpoint file makes the kind 'endpoint', not {kind!r}")
    if api is not None and not re.fullmatch(r"https?://[^\s\"'\\]+", api):
        raise PackageError(f"{api!r} is no address; it begins with https:// and has no spaces")
    folder = Path(name) if folder is None else folder
    if folder.exists() or folder.is_symlink():
        raise PackageError(f"{folder} is there already, and nothing is overwritten; name another")
    known = None if endpoint is None else server(endpoint)
    answers = _answers(name, kind, known, author, api)
    _copy(template, folder, answers)
    return folder


def _answers(
    name: str, kind: str, known: Server | None, author: str | None, api: str | None
) -> dict[str, Any]:
    """Return the answers to the template's questions."""
    bare = name.removeprefix("langchain-")
    own = bare.upper().replace("-", "_")
    site = _WEIGHTS if kind == "gguf" else f"https://{bare}.example"
    answers: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "author": author or _git_name() or f"The authors of {name}",
        "year": str(datetime.now(UTC).year),
        "api": api or (known and known.site) or site,
        "key": (known and known.key) or f"{own}_API_KEY",
        "repository": _repository(),
    }
    if known is not None:
        answers |= {"endpoint_file": known.text, "variables": known.variables}
    return answers


def _git_name() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    asked = [git, "config", "user.name"]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603  no input


def _repository() -> str:
    """Return the Git address of this project, as its metadata tell it; empty where they don't."""
    links = metadata("chatwright").get_all("Project-URL") or []
    named = dict(each.split(", ", 1) for each in links)
    found = (url for label, url in named.items() if label.lower() in _ADDRESSES)
    return next(found, "")


def _copy(template: str | None, folder: Path, answers: dict[str, Any]) -> None:
    try:
        from copier import run_copy  # noqa: PLC0415  an extra
        from copier.errors import CopierError  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingExtraError("copier", "new") from None
    tag = None if template is None else f"v{version('chatwright')}"
    source = str(_TEMPLATE) if template is None else template
    try:
        run_copy(source, folder, data=answers, vcs_ref=tag, defaults=True, quiet=True)
    except (CopierError, OSError, ValueError) as error:
        where = "the template" if template is None else f"the template at {template!r}, tag {tag},"
        raise PackageError(f"{where} can't be used: {error}") from error
