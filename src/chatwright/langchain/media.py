"""Images, audio, video and files in messages: every form of them as v1 blocks, and OpenAI's again.

What a form holds beside the medium itself, such as an image's `detail`, is kept: what stands inside
of it under `extras`, as LangChain has it, and what stands beside it beside it.
"""

import mimetypes
from collections.abc import Mapping
from typing import Any

from chatwright.errors import ContentError

__all__ = ["SOURCES", "as_media", "data_url", "filename", "inline", "mime_type", "openai_part"]

SOURCES = ("base64", "file_id", "url")
"""Where a v1 block has its medium: one of these."""

_URLS: Mapping[str, str] = {"audio_url": "audio", "image_url": "image", "video_url": "video"}
_SPOKEN: Mapping[str, str] = {"mpeg": "mp3", "vnd.wave": "wav", "wave": "wav", "x-wav": "wav"}
"""OpenAI's names for formats of audio by those of MIME."""
_PDF = "JVBER"
"""What a PDF begins with in base64."""
_OF_A_BLOCK = frozenset(
    {*SOURCES, "extras", "filename", "id", "index", "metadata", "mime_type", "text", "type"}
)


def as_media(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a block of OpenAI's, or Anthropic's, as v1 has it; None for any other.

    Args:
        block: A block in whatever form. OpenAI's are those of chat completions (`image_url`,
            `input_audio`, `file`), what vLLM, Qwen and others add to them (`video_url`,
            `audio_url`), and those of Responses (`input_image`, `input_file`).
    """
    kind = str(block.get("type"))
    source = block.get("source")
    if kind in {"document", "image"} and isinstance(source, Mapping):
        return _of_anthropic("file" if kind == "document" else kind, block, source)
    if kind in _URLS or (kind in {"file", "input_audio"} and kind in block):
        inner = block.get(kind)
        given = dict(inner) if isinstance(inner, Mapping) else {"url": inner}
        beside = {name: each for name, each in block.items() if name not in {"type", kind}}
        return {**_of_openai(_URLS.get(kind, kind.removeprefix("input_")), given), **beside}
    if kind in {"input_file", "input_image"}:
        given = {name: each for name, each in block.items() if name not in {"type", _MARK}}
        marks = {_MARK: block[_MARK]} if _MARK in block else {}
        return {**_of_openai(kind.removeprefix("input_"), given), **marks}
    return None


_MARK = "cache_control"


def _of_anthropic(
    kind: str, block: Mapping[str, Any], source: Mapping[str, Any]
) -> dict[str, Any] | None:
    extras = {n: each for n, each in block.items() if n not in {"type", "source", _MARK}}
    made: dict[str, Any] = {"type": kind}
    match source.get("type"):
        case "base64":
            made |= {"base64": source.get("data"), "mime_type": source.get("media_type")}
        case "file":
            made["file_id"] = source.get("file_id")
        case "text":
            made |= {"type": "text-plain", "text": source.get("data"), "mime_type": "text/plain"}
        case "url":
            made["url"] = source.get("url")
        case _:
            return None
    marks = {_MARK: block[_MARK]} if _MARK in block else {}
    return {**made, **({"extras": extras} if extras else {}), **marks}


def _of_openai(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind}
    link = next((given.pop(each) for each in _LINKS if given.get(each)), None)
    if isinstance(link, Mapping):  # Responses' `input_image` with chat completions' `image_url`
        given, link = {**link, **given}, link.get("url")
        given.pop("url", None)
    data = given.pop("data", None)
    if link is not None:
        made |= inline(str(link))
    elif data is not None:
        made |= {"base64": data, "mime_type": f"audio/{given.pop('format', 'wav')}"}
    elif given.get("file_id"):
        made["file_id"] = given.pop("file_id")
    extras = {name: each for name, each in given.items() if each is not None}
    return {**made, "extras": extras} if extras else made


_LINKS = ("url", "image_url", "file_data", "file_url")


def inline(url: str) -> dict[str, Any]:
    """Return what a URL holds, if that is data, or the URL."""
    header, comma, data = url.partition(";base64,")
    if not comma or not header.startswith("data:"):
        return {"url": url}
    kind = header.removeprefix("data:")
    return {"base64": data, "mime_type": kind} if kind else {"base64": data}


def mime_type(block: Mapping[str, Any]) -> str:
    """Return the MIME type of a block in base64: the one that it names; a PDF needs not.

    Raises:
        ContentError: It names none.
    """
    if named := block.get("mime_type"):
        return str(named)
    if block["type"] == "file" and str(block.get("base64")).startswith(_PDF):
        return "application/pdf"
    raise ContentError(f"{block['type']!r} content in base64 has no mime_type, which has to be set")


def data_url(block: Mapping[str, Any]) -> str:
    """Return where a medium is, as one URL: a `data:` URL of what is given in base64.

    Raises:
        ContentError: It has neither a URL nor a MIME type.
    """
    if block.get("base64"):
        return f"data:{mime_type(block)};base64,{block['base64']}"
    if block.get("url"):
        return str(block["url"])
    raise ContentError(
        f"this server's wire has no form for {block['type']!r} content by its file_id: "
        f"{block.get('file_id')!r}; give its url or base64"
    )


def filename(block: Mapping[str, Any]) -> str:
    """Return a file's name; one that its MIME type gives where it has none, as OpenAI wants one."""
    for of in (block, block.get("extras") or {}, block.get("metadata") or {}):
        if named := of.get("filename"):
            return str(named)
    return f"file{mimetypes.guess_extension(mime_type(block)) or ''}"


def openai_part(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a normalized block as a part of content in OpenAI's chat completions.

    Audio and video by a URL have the forms that vLLM gave them, which others take, too; a file
    by a URL has that of OpenRouter, and an image by its id that of a file. What no form is known
    for is returned as it is.

    Args:
        block: The block.

    Raises:
        ContentError: A medium that the form can't carry in this way.
    """
    kind = block["type"]
    beside = {name: each for name, each in block.items() if name not in _OF_A_BLOCK}
    extras = {**(block.get("extras") or {})}
    if kind in {"text", "text-plain"} and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"], **beside}
    if block.get("file_id") and kind in {"file", "image"}:
        return {"type": "file", "file": {"file_id": block["file_id"]}, **beside}
    if kind in {"image", "video"}:
        name = f"{kind}_url"
        return {"type": name, name: {"url": data_url(block), **extras}, **beside}
    if kind == "audio":
        if not block.get("base64"):
            return {"type": "audio_url", "audio_url": {"url": data_url(block), **extras}, **beside}
        form = mime_type(block).partition("/")[2]
        spoken = {"data": block["base64"], "format": _SPOKEN.get(form, form), **extras}
        return {"type": "input_audio", "input_audio": spoken, **beside}
    if kind == "file":
        named = {"filename": filename(block)} if block.get("base64") else {}
        return {"type": "file", "file": {**extras, **named, "file_data": data_url(block)}, **beside}
    return dict(block)
