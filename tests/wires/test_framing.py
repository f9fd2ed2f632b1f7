import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.errors import EngineError, OutputError
from chatwright.wires.framing import (
    FRAMINGS,
    ErrorPayload,
    NdjsonDecoder,
    SseDecoder,
    TextDecoder,
    WholeDecoder,
)
from chatwright.wires.jsonio import dumps, loads

RECORDED = {
    "sse": (
        b'\xef\xbb\xbf: hello\r\ndata: {"a": 1}\r\n\r\n: keep-alive\n\nevent: x\nid: 7\n'
        b"data: one\ndata:two\n\nevent: error\rdata: bad\r\rretry: 3\n\n"
        b"data: \xe2\x82\xac\n\ndata: [DONE]\n\ndata: last"
    ),
    "ndjson": b'\xef\xbb\xbf{"a": 1}\r\n\n{"b": "\xe2\x82\xac"}\n  \n{"c": 3}',
    "json": b'\xef\xbb\xbf{"a":\n [1, 2]\n}\n',
    "text": "\ufeffEin Gru\u00df \u20ac \U0001f600!".encode() + b"\xe2\x82",
}
EXPECTED = {
    "sse": [b'{"a": 1}', b"one\ntwo", b"bad", "\u20ac".encode(), b"[DONE]", b"last"],
    "ndjson": [b'{"a": 1}', b'{"b": "\xe2\x82\xac"}', b'{"c": 3}'],
    "json": [b'{"a":\n [1, 2]\n}\n'],
    "text": "Ein Gru\u00df \u20ac \U0001f600!\ufffd",
}


def decoded(framing, pieces):
    decoder = FRAMINGS[framing]()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    payloads += decoder.flush()
    return "".join(payloads) if framing == "text" else payloads


@pytest.mark.parametrize("framing", RECORDED)
def test_split_at_every_byte_the_payloads_are_the_same(framing):
    recorded = RECORDED[framing]
    for at in range(len(recorded) + 1):
        assert decoded(framing, [recorded[:at], recorded[at:]]) == EXPECTED[framing]
    assert decoded(framing, [bytes([each]) for each in recorded]) == EXPECTED[framing]


@pytest.mark.parametrize("framing", RECORDED)
@given(data=st.data())
def test_split_anyhow_the_payloads_are_the_same(framing, data):
    recorded = RECORDED[framing]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(recorded)))))
    pieces = [recorded[a:b] for a, b in zip([0, *cuts], [*cuts, len(recorded)], strict=True)]
    assert decoded(framing, pieces) == EXPECTED[framing]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 9),
)
def test_whatever_is_written_as_events_is_read_again(texts, end, size):
    raw = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert [each.decode() for each in decoded("sse", pieces)] == texts


def test_an_event_named_error_is_told_apart():
    (payload,) = SseDecoder().feed(b"event: error\ndata: {}\n\n")
    assert isinstance(payload, ErrorPayload)
    (payload,) = SseDecoder().feed(b"event: other\ndata: {}\n\n")
    assert not isinstance(payload, ErrorPayload)


def test_json_that_stands_bare_in_a_stream_is_a_payload():
    assert decoded("sse", [b'{"error": "no"}']) == [b'{"error": "no"}']
    assert decoded("sse", [b'{"a": 1}\n{"b": 2}\n']) == [b'{"a": 1}', b'{"b": 2}']
    (payload,) = decoded("sse", [b'{\n  "a": 1\n}\n'])
    assert json.loads(payload) == {"a": 1}
    assert decoded("sse", [b"<html>\nnonsense\n"]) == []


@pytest.mark.parametrize("size", [1000, 10**7])
def test_ten_megabytes_in_one_line_are_taken(size):
    line = b"data: " + b"x" * 10**7
    pieces = [line[at : at + size] for at in range(0, len(line), size)]
    assert decoded("sse", [*pieces, b"\n\n"]) == [b"x" * 10**7]


@pytest.mark.parametrize("decoder", [SseDecoder, NdjsonDecoder, WholeDecoder])
@pytest.mark.parametrize("ended", [b"", b"\n\n"])
def test_what_is_longer_than_the_limit_is_refused(decoder, ended):
    with pytest.raises(EngineError, match="longer than 100 bytes"):
        for piece in (b"data: ", b"x" * 60, b"y" * 60 + ended):
            decoded = decoder(100)
            decoded.feed(b"data: " + b"x" * 60)
            decoded.feed(piece * 2)


def test_many_lines_of_data_in_one_event_are_bounded_too():
    decoder = SseDecoder(100)
    with pytest.raises(EngineError, match="longer than 100 bytes"):
        for _ in range(20):
            decoder.feed(b"data: 0123456789\n")


def test_text_holds_back_nothing_but_half_a_character():
    decoder = TextDecoder()
    assert decoder.feed("a\u20ac".encode()[:-1]) == ["a"]
    assert decoder.feed("\u20ac".encode()[-1:]) == ["\u20ac"]
    assert decoder.flush() == []


def test_invalid_utf8_in_json_becomes_a_replacement():
    assert loads(b'{"a": "\xff\xfe"}') == {"a": "\ufffd\ufffd"}


@pytest.mark.parametrize("text", [b"{", b"[" * 2000 + b"]" * 2000, b"nonsense", b"\xff"])
def test_what_is_no_json_is_an_error_that_shows_it(text):
    with pytest.raises(OutputError, match="this is no JSON"):
        loads(text)


def test_what_is_deep_but_not_too_deep_is_read():
    assert loads(b"[" * 500 + b"]" * 500)


def test_what_can_not_be_written_is_an_error():
    with pytest.raises(TypeError, match="can't be written as JSON"):
        dumps({"a": object()})
