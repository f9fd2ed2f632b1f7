"""What stands beside the text of a chat completion: citations, images, speech, server tools."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.deltas import Block
from chatwright.langchain.media import as_media
from chatwright.wires.blocks import Citations, called, grouped, other, result
from chatwright.wires.wire import Ask

__all__ = ["Beside"]

_FORMATS: Mapping[str, str] = {"mp3": "mpeg", "pcm16": "pcm"}
"""MIME's names for formats of audio by OpenAI's."""


class Beside:
    """Reads it: citations behind their text, images at once, what comes in pieces at the end.

    Args:
        ask: What was asked: it names the form of speech.
    """

    def __init__(self, ask: Ask) -> None:
        """Start with nothing."""
        asked = ask.request.parameters.get("audio")
        form = asked.get("format") if isinstance(asked, Mapping) else None
        self._format = _FORMATS.get(str(form), str(form or "wav"))
        self._citations = Citations()
        self._images: list[Any] = []
        self._tools: list[Mapping[str, Any]] = []
        self._spoken: dict[str, Any] = {}
        self._data = b""

    def read(self, delta: Mapping[str, Any], *, said: bool) -> Iterator[Block]:
        """Yield what a piece of the answer holds.

        Args:
            delta: The piece.
            said: Whether any text has come.
        """
        self._citations.hold(delta.get("annotations"))
        if said:
            yield from self._citations.release()
        for each in delta.get("images") or ():  # OpenRouter's
            part = {"type": "image_url", "image_url": each} if isinstance(each, str) else each
            bare = {name: value for name, value in part.items() if name != "index"}
            if bare not in self._images:
                self._images.append(bare)
                media = as_media(bare)
                yield other(bare) if media is None else Block(media)
        self._tools += delta.get("executed_tools") or ()  # Groq's
        if isinstance(audio := delta.get("audio"), Mapping):
            self._hear(audio)

    def _hear(self, audio: Mapping[str, Any]) -> None:
        """Keep a piece of speech; the pieces are encoded apart from each other."""
        self._data += base64.b64decode(audio.get("data") or "")
        told = f"{self._spoken.get('transcript', '')}{audio.get('transcript') or ''}"
        known = {n: v for n, v in audio.items() if v is not None and n != "data"}
        self._spoken |= known | {"transcript": told}

    def cite(self, known: Mapping[str, Any]) -> None:
        """Keep the sources that stand above an answer, where none stood beside its text.

        Args:
            known: What is known of the answer; Perplexity's `citations` are addresses, which its
                text numbers, and `search_results` name their pages.
        """
        pages = [each for each in known.get("search_results") or () if isinstance(each, Mapping)]
        titles = {each.get("url"): each.get("title") for each in pages}
        urls = [each for each in known.get("citations") or titles if isinstance(each, str)]
        if not self._citations.any:
            self._citations.hold(
                {"type": "url_citation", "url": url, "title": titles.get(url)} for url in urls
            )

    def flush(self) -> Iterator[Block]:
        """Yield what is left: nothing more comes."""
        yield from self._citations.release()
        for number, each in enumerate(grouped(self._tools)):
            name = f"executed_tool_{each.get('index', number)}"
            args = {"arguments": each["arguments"]} if each.get("arguments") else {}
            yield called(name, str(each.get("type") or "tool"), args)
            more = {k: v for k, v in each.items() if k not in {"arguments", "index", "output"}}
            yield result(name, each.get("output"), **more)
        if self._spoken:
            data = base64.b64encode(self._data).decode()
            known = {"type": "audio", "base64": data, "mime_type": f"audio/{self._format}"}
            yield Block({**known, "extras": self._spoken})
