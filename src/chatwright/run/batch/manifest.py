"""What ran with what: a small file beside the output."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chatwright.errors import BatchError

__all__ = ["Manifest", "differences", "written"]


class Manifest:
    """What ran with what.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read it, if it is there.

        Raises:
            BatchError: It is no manifest.
        """
        self.path = path
        self.fields: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            try:
                self.fields = json.loads(path.read_text("utf-8"))
                _ = self.fields["job"], self.fields["runs"], self.fields["format"]
            except (ValueError, KeyError, TypeError):
                raise BatchError(
                    f"{path} is no manifest of a batch; move it away, or start anew with --fresh"
                ) from None

    def begin(self, job: Mapping[str, Any], form: str, **told: Any) -> None:
        """Note that a run begins.

        Args:
            job: What is asked of which model.
            form: The output's format.
            **told: What else is to be known of the run.

        Raises:
            BatchError: The output is another job's; the message says what differs.
        """
        if self.fields:
            before = {**self.fields["job"], "format": self.fields["format"]}
            if found := [*differences(before, {**job, "format": form})]:
                raise BatchError(
                    f"{self.path} says that the output is another job's: {'; '.join(found)}; give "
                    "another output, or start anew with --fresh"
                )
        else:
            self.fields = {"format": form, "job": dict(job), "runs": []}
        libraries = {name: version(name) for name in ("chatwright", "langchain-core")}
        self.fields["runs"].append({**told, "versions": libraries})
        self._write()

    def end(self, **told: Any) -> None:
        """Note how the run ended.

        Args:
            **told: What is to be known of it.
        """
        self.fields["runs"][-1].update(told)
        self._write()

    def _write(self) -> None:
        written(self.path, self.fields)


def written(path: Path, fields: Mapping[str, Any]) -> None:
    """Write a file of JSON: whoever reads it, sees the old one or the new one.

    Args:
        path: The file.
        fields: What it is to hold.

    Raises:
        OSError: It can't be written.
    """
    made = path.with_name(f"{path.name}.new")
    with made.open("w", encoding="utf-8") as file:
        json.dump(fields, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Yield what differs between two values of JSON, field by field, for people.

    Args:
        before: One.
        now: The other.
        name: What they are.
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            inner = f"{name}.{key}" if name else str(key)
            yield from differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield f"{name} was {_short(before)} and is {_short(now)}"


def _short(value: Any) -> str:
    told = json.dumps(value, ensure_ascii=False)
    return told if len(told) <= 60 else f"{told[:57]}…"  # noqa: PLR2004  a line's worth
