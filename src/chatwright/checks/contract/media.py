"""Media: what users attach, and what tools give back, reaches the LLM or is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatwright.checks.calls.modes import Call
from chatwright.checks.outcome import expect, skip, warn
from chatwright.checks.probes.inspection import (
    TEXT_ALONE,
    arrived,
    bound,
    claims,
    is_refusal,
    requests,
    told,
    ways,
)
from chatwright.checks.rulebook import rule
from chatwright.checks.targets.backends import IMAGE, OnUpstream
from chatwright.checks.trial import LOOK_UP, Trial
from chatwright.deltas import Usage

ASKED = "What is it?"
RESULT = "an image in a tool's result"
OTHER = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGPgrPgAAAH/AXKwVriqAAAAAElFTkSuQmCC"
)
"""Another image, as PNG."""
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
PDF = "JVBERi0xLjQKMSAwIG9iajw8Pj5lbmRvYmoKdHJhaWxlcjw8Pj4KJSVFT0YK"


def _forms(kind: str, data: str, media: str, openai: Mapping[str, Any]) -> dict[str, Any]:
    more = {"filename": "a.pdf"} if kind == "file" else {}
    old = {"type": kind, "source_type": "base64", "data": data, "mime_type": media, **more}
    new = {"type": kind, "base64": data, "mime_type": media, **more}
    return {"v1": new, "v0": old, "OpenAI": openai}


MEDIA: Mapping[str, tuple[str, str, tuple[str, ...], Mapping[str, Any]]] = {
    "images": (
        "image_inputs",
        IMAGE,
        ("image",),
        _forms(
            "image",
            IMAGE,
            "image/png",
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
        ),
    ),
    "audio": (
        "audio_inputs",
        WAV,
        ("audio",),
        _forms(
            "audio",
            WAV,
            "audio/wav",
            {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        ),
    ),
    "files": (
        "pdf_inputs",
        PDF,
        ("file", "document", "pdf"),
        _forms(
            "file",
            PDF,
            "application/pdf",
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            },
        ),
    ),
}
"""Media by what declares them: the profile's key, their data, their names, and their forms."""


@rule(
    "M4",
    "Images, audio and files are sent where they are declared, and never lost",
    fix="Translate blocks of v1, v0 and OpenAI's form into the backend's own; raise a ValueError "
    "that names the type of a block that the backend does not take.",
    calls=3,
)
def media(trial: Trial) -> None:
    """What a user attaches must reach the LLM, or be refused: an answer without it is a lie.

    Where the profile, or `--declare`, says that a medium is taken, all its forms have to arrive.
    Where not, they are refused by an error that names them, or passed on to a backend that may
    refuse them. A medium that is dropped, or written into the text, fails; a block of it that goes
    out without the data is a warning where the medium is not declared, as servers refuse that.

    Two images in one message, an image by its address, and an image in a tool's result have to
    arrive as well, or be refused by an error that names what is not taken.
    """
    model = trial.model(["fine", Usage(9, 1)]) if trial.scripted else trial.model()
    doubts = list[str]()
    tried = False
    for name, (key, data, words, forms) in MEDIA.items():
        claimed = claims(model, key)
        declared = trial.has(name) or bool(claimed)
        tried = tried or trial.scripted or declared
        for form, block in _tried(trial, forms, declared=declared):
            prompt = [HumanMessage([{"type": "text", "text": ASKED}, dict(block)])]
            for way in ways(trial):
                call = trial.call(way, prompt, model=model)
                where = f"{name} in the form of {form}, {way}"
                if call.error is not None:
                    _refused(call, where, words, declared=declared)
                elif trial.scripted and not declared and _is_hollow(trial, call, data, words):
                    doubts.append(f"{where}: a block goes out without the data; servers refuse it")
                elif trial.scripted:
                    _whole(trial, call, where, data)
                    unasked = [where] if claimed is False and not declared else []
                    doubts += [f"{each}: the profile says no, but it is sent" for each in unasked]
    if trial.scripted:
        _further_images(trial, model)
    if not tried:
        skip("nothing but text is declared, and nothing tells what a live model makes of the rest")
    if doubts:
        warn(doubts[0], "a refusal")


def _tried(trial: Trial, forms: Mapping[str, Any], *, declared: bool) -> list[tuple[str, Any]]:
    """Return the forms of a medium to try: of a live model's one, if it is declared."""
    return [*forms.items()][: None if trial.scripted else int(declared)]


def _further_images(trial: Trial, model: Any) -> None:
    """Expect images to arrive, or to be refused by name, that are not alone, or not inline."""
    for where, prompt, wanted in _messages(trial):
        tools = where == RESULT and trial.has("tools")
        call = trial.call("invoke", prompt, model=bound(model, [LOOK_UP]) if tools else model)
        if call.error is not None:
            _refused(call, where, ("image", "url", "address", "base64", "tool"), declared=False)
            continue
        for each in wanted:
            _whole(trial, call, where, *each)


def _messages(trial: Trial) -> Iterator[tuple[str, list[BaseMessage], list[Sequence[str]]]]:
    """Yield what is tried, its messages, and the images: each by all that may stand for it."""
    ask: dict[str, Any] = {"type": "text", "text": ASKED}
    one, two = (_forms("image", each, "image/png", {})["v1"] for each in (IMAGE, OTHER))
    yield "two images in one message", [HumanMessage([ask, one, two])], [(IMAGE,), (OTHER,)]
    stage = trial.shared.stage
    url = stage.image_address if isinstance(stage, OnUpstream) else "https://example.org/cat.png"
    forms: Mapping[str, Any] = {
        "v1": {"type": "image", "url": url},
        "OpenAI": {"type": "image_url", "image_url": {"url": url}},
    }
    for form, block in forms.items():
        where = f"an image by its address, in the form of {form}"
        yield where, [HumanMessage([ask, block])], [(url, IMAGE)]
    call = {"name": "look_up", "args": {"word": "cat"}, "id": "call_1", "type": "tool_call"}
    result = ToolMessage([{"type": "text", "text": "a cat"}, one], tool_call_id="call_1")
    yield RESULT, [HumanMessage(ASKED), AIMessage("", tool_calls=[call]), result], [(IMAGE,)]


def _refused(call: Call, where: str, words: Sequence[str], *, declared: bool) -> None:
    error = call.error
    if error is None:
        return
    expect(not declared, f"{where}, declared: {told(error)}", "to be taken")
    clear = is_refusal(error, *words, "content", "block", "modal", "media", *TEXT_ALONE)
    expect(clear, f"{where}: {told(error)}", f"an error that says that {words[0]} is not taken")


def _is_hollow(trial: Trial, call: Call, data: str, words: Sequence[str]) -> bool:
    """Tell whether a request has a block of a medium without the medium itself."""
    texts = [arrived(each) for each in requests(trial, call)]
    kinds = [f'"{prefix}{each}' for each in words for prefix in ("", "input_")]
    return any(data not in x and any(kind in x for kind in kinds) for x in texts)


def _whole(trial: Trial, call: Call, where: str, *data: str) -> None:
    """Expect a medium to have arrived, by one of what may stand for it."""
    for request in requests(trial, call):
        text = arrived(request)
        came = any(each in text for each in data)
        expect(came, f"{where}: it is not in the request", "all of it", sent=text)
        expect(ASKED in text, f"{where}: the text beside it is not", "both", sent=text)
        for each in data:
            kinds = [f"data:{kind};base64,{each}" for kind in ("image/png", "application/pdf")]
            odd = f";base64,{each}" in text and not any(kind in text for kind in kinds)
            expect(not odd, f"{where}: it is sent as of another type", "its own", sent=text)
            texts = request.asked.messages if request.asked else ()
            written = any(each in told for _, told in texts)
            expect(not written, f"{where}: it is written into the text", "a block", sent=text)
