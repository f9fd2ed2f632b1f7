"""An answer described by data: JMESPaths into what comes. The one importer of jmespath."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from chatwright.core.finish import normalized_reason
from chatwright.deltas import Delta, Reasoning, ToolCallDelta, Usage
from chatwright.errors import OutputError
from chatwright.wires.reader import Reported, TotalsReader

__all__ = ["DescribedReader", "ResponseSpec", "UsageSpec"]


def _compiled(path: str) -> str:
    try:
        _path(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is no JMESPath: {' '.join(str(error).split())}") from None
    return path


@functools.lru_cache(maxsize=256)
def _path(path: str) -> Any:
    return jmespath.compile(path)


Path = Annotated[str, AfterValidator(_compiled)]


class UsageSpec(BaseModel):
    """Where the counts of tokens stand, as JMESPaths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: Path | None = None
    output_tokens: Path | None = None
    cache_read: Path | None = None
    reasoning: Path | None = None


class ResponseSpec(BaseModel):
    """How an answer is read: JMESPaths (https://jmespath.org) into each payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framing: Literal["json", "ndjson", "sse", "text"] = "json"
    """How payloads are told apart: the whole body is one, or a line is, or the data of a
    server-sent event; `text` is no JSON but the answer itself."""
    text: Path | None = None
    """The text, or the next piece of it."""
    reasoning: Path | None = None
    """The reasoning, or the next piece of it."""
    tool_calls: Path | None = None
    """A list of calls: `name`, `arguments` (an object or its JSON), perhaps `id` and `index`; or in
    OpenAI's form."""
    usage: UsageSpec = UsageSpec()
    """Where the counts of tokens stand."""
    finish_reason: Path | None = None
    """Why the answer ended."""
    error: Path | None = None
    """What has failed; where something stands there, the call fails with it."""
    cumulative: bool = False
    """Whether each payload holds all of the text so far."""
    done: Path | None = None
    """What is true once the answer has ended."""
    done_marker: str = "[DONE]"
    """The payload that says that the answer has ended."""

    @model_validator(mode="after")
    def _say_where_the_text_is(self) -> "ResponseSpec":
        if (self.framing == "text") == bool(self.text):
            raise ValueError("text says where the text stands; only framing 'text' has none")
        return self


class DescribedReader(TotalsReader):
    """Reads payloads by their description.

    Args:
        spec: The description.
    """

    def __init__(self, spec: ResponseSpec) -> None:
        """Start with nothing."""
        super().__init__()
        self._spec = spec
        self._seen = ""
        self._calls = 0
        self._matched = False  # whether a path has led to a piece of an answer

    def read(self, payload: Any) -> Sequence[Delta]:
        """Return what a payload says."""
        if isinstance(payload, str):  # of the framing `text`
            return [payload]
        spec = self._spec
        if spec.error and (error := self._found(spec.error, payload)):
            raise Reported(error)
        deltas: list[Delta] = []
        if spec.reasoning and (reasoning := self._text(spec.reasoning, payload)):
            deltas.append(Reasoning(reasoning))
        if spec.text and (text := self._text(spec.text, payload)):
            deltas.append(self._new(text) if spec.cumulative else text)
        if spec.tool_calls:
            deltas += self._tool_calls(self._found(spec.tool_calls, payload))
        deltas += self._usage(payload)
        if spec.finish_reason and (reason := self._found(spec.finish_reason, payload)):
            self.ended, self._reason = True, "stop" if reason is True else str(reason)
            # Such an answer may be empty: it was blocked, say.
            blank = normalized_reason(self._reason) not in {"stop", "tool_calls"}
            self._matched = self._matched or blank
        if spec.framing == "json" or (spec.done and self._found(spec.done, payload)):
            self.ended = True
        return deltas

    @property
    def missing(self) -> str:
        """What may be wrong where nothing of an answer has come."""
        return f"the path {self._spec.text!r} of the endpoint's response.text has led to nothing"

    def knows(self, payload: Any) -> bool:
        """Tell whether a path has led to a piece of an answer, an empty one say."""
        del payload
        return self._matched

    @staticmethod
    def _found(path: str, payload: Any) -> Any:
        try:
            return _path(path).search(payload)
        except JMESPathError as error:
            raise OutputError(f"{path!r} does not fit what the server sent: {error}") from None

    def _text(self, path: str, payload: Any) -> str:
        found = self._found(path, payload)
        self._matched = self._matched or found not in (None, [])
        if isinstance(found, list):
            found = "".join(as_text(each) for each in found)
        if isinstance(found, dict):
            raise OutputError(f"{path!r} leads to an object, not to a text: {str(found)[:200]}")
        return as_text(found)

    def _new(self, text: str) -> str:
        """Return what of the text so far is new."""
        seen, self._seen = self._seen, text
        if not text.startswith(seen):
            raise OutputError(
                f"the text so far was {seen[-80:]!r} at its end and does not go on from there; "
                "is 'cumulative' right?"
            )
        return text[len(seen) :]

    def _tool_calls(self, calls: Any) -> Iterator[Delta]:
        for call in calls or ():
            self._matched = True
            function = call.get("function") or call
            if not isinstance(function, Mapping):
                function = call
            index = call.get("index")
            arguments = next(
                (function[key] for key in ("arguments", "args", "input") if key in function), None
            )
            yield ToolCallDelta(
                self._calls if index is None else int(index),
                call.get("id"),
                function.get("name"),
                arguments or ("" if index is not None else {}),
            )
            self._calls += 1

    def _usage(self, payload: Any) -> Iterator[Delta]:
        counts = {
            name: int(count)
            for name, path in self._spec.usage
            if path and (count := self._found(path, payload)) is not None
        }
        if counts:
            yield Usage(
                counts.get("input_tokens"),
                counts.get("output_tokens"),
                {"cache_read": counts["cache_read"]} if "cache_read" in counts else {},
                {"reasoning": counts["reasoning"]} if "reasoning" in counts else {},
            )


def as_text(value: Any) -> str:
    """Return a value as text; none for None."""
    return "" if value is None else str(value)
