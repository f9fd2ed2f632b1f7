"""Images through a projector, on the real engine."""

import http.server
import threading

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from chatwright import ChatGGUF, ContentError, InvalidRequestError, WeightsError
from contract.subjects import MODES
from wrap.gguf import projector

SMALL = {"model_path": "smollm2", "n_ctx": 512, "n_parallel": 1, "max_tokens": 4, "seed": 1}


@pytest.fixture(scope="module")
def sees(tmp_path_factory):
    path = projector.write(tmp_path_factory.mktemp("mmproj") / "projector.gguf")
    return ChatGGUF(**SMALL, temperature=0.0, mmproj=str(path))


def asked(block):
    content = [{"type": "text", "text": "What is this?"}, block]
    return [SystemMessage("You are a helpful assistant."), HumanMessage(content)]


def image(red):
    return {"type": "image", "base64": projector.png(red), "mime_type": "image/png"}


async def test_an_image_reaches_the_projector_in_every_mode(sees):
    for mode in MODES.values():
        usage = (await mode(sees, asked(image(200)))).usage_metadata
        assert usage["output_tokens"] == 4
    without = sees.invoke(asked({"type": "text", "text": ""})).usage_metadata["input_tokens"]
    assert usage["input_tokens"] == without + (projector.IMAGE // projector.PATCH) ** 2


def test_openais_form_is_taken_too(sees):
    url = f"data:image/png;base64,{projector.png(200)}"
    answer = sees.invoke(asked({"type": "image_url", "image_url": {"url": url}}))
    assert answer.text == sees.invoke(asked(image(200))).text


def test_weights_without_a_projector_refuse_images():
    with pytest.raises(ContentError, match="smollm2 does not take 'image'"):
        ChatGGUF(**SMALL).invoke(asked(image(200)))


def test_audio_is_refused_by_a_projector_for_images(sees):
    block = {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}
    with pytest.raises(ContentError, match="takes text, image"):
        sees.invoke(asked(block))


class Pictures(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self):
        import base64

        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(base64.b64decode(projector.png(200)))

    def log_message(self, *args):
        pass


def test_urls_are_fetched_only_where_that_is_asked_for(sees):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/a.png"
    try:
        with pytest.raises(ContentError, match="fetch_urls=True"):
            sees.invoke(asked({"type": "image", "url": url}))
        assert Pictures.asked == []
        fetching = sees.model_copy(update={"fetch_urls": True})
        assert fetching.invoke(asked({"type": "image", "url": url})).usage_metadata
        assert Pictures.asked == ["/a.png"]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.png", "file:///etc/hostname"])
def test_what_cannot_be_fetched_is_a_clear_error(sees, url):
    fetching = sees.model_copy(update={"fetch_urls": True})
    with pytest.raises(InvalidRequestError, match="refuses the request"):
        fetching.invoke(asked({"type": "image", "url": url}))


def test_what_is_no_image_is_a_clear_error(sees):
    block = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    with pytest.raises(InvalidRequestError, match="refuses the request"):
        sees.invoke(asked(block))


def test_a_projector_of_other_weights_is_named(tmp_path):
    path = projector.write(tmp_path / "other.gguf", text_embedding=64)
    with pytest.raises(WeightsError, match=r"other\.gguf"):
        ChatGGUF(**SMALL, mmproj=str(path)).invoke("x")
    with pytest.raises(WeightsError, match="missing"):
        ChatGGUF(**SMALL, mmproj=str(tmp_path / "missing.gguf"))
