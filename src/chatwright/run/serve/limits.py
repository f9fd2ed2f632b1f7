"""What a server allows: sizes, times, and how much at once."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows.

    Args:
        concurrency: How many answers are made at once.
        queue: How many requests may wait for that; further ones get 429.
        body: The largest body, in bytes.
        body_seconds: How long a client may take to send it.
        messages: The longest conversation, in messages.
        tools: The most tools.
        tokens: The most tokens that an answer may be asked to have.
        heartbeat: Seconds between the comments that a stream sends until its first token.
        reader_seconds: How long a client may leave a piece of a stream unread.
        drain_seconds: How long answers may go on after the server was told to stop.
        kept: How many responses are kept for requests that go on from them.
        kept_bytes: How large they may be together.
        kept_seconds: How long one is kept after it was made, or last gone on from.
        resume_seconds: How long a stream lives on without its client, and is kept after its end; 0
            for not at all: it ends with its client.
        resume_streams: How many streams are kept so.
        resume_bytes: How large they may be together.
        socket_seconds: How long a WebSocket may stay open; Open Responses has an hour.
        socket_queue: How many requests may wait on a WebSocket, which answers one at a time.
    """

    concurrency: int = 64
    queue: int = 256
    body: int = 32 * 2**20
    body_seconds: float = 30.0
    messages: int = 10_000
    tools: int = 512
    tokens: int = 1_000_000
    heartbeat: float = 1.0
    reader_seconds: float = 60.0
    drain_seconds: float = 30.0
    kept: int = 1_000
    kept_bytes: int = 64 * 2**20
    kept_seconds: float = 24 * 3600.0
    resume_seconds: float = 0.0
    resume_streams: int = 256
    resume_bytes: int = 64 * 2**20
    socket_seconds: float = 3600.0
    socket_queue: int = 16
