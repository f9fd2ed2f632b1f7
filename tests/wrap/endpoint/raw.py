"""A server that sends whatever bytes it is told to, and ends connections when it is told to."""

import contextlib
import json
import select
import socket
import threading

EVENTS = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "fine"}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def answer(body=EVENTS, headers=(), status="200 OK"):
    """Return a whole response."""
    told = {"Content-Type": "text/event-stream", "Content-Length": str(len(body)), **dict(headers)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


class Raw:
    """A server on loopback.

    Args:
        serve: What is done with a connection: a function of the connection and its number.
    """

    def __init__(self, serve):
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.read = 0
        self.connections = 0
        self.answered = threading.Event()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(
                    target=self._one, args=(connection, self.connections), daemon=True
                ).start()

    def _one(self, connection, number):
        with contextlib.suppress(OSError), connection:
            self._serve(Connection(connection, self), number)


class Connection:
    """One connection, as the server has it."""

    def __init__(self, connection, server):
        self._connection = connection
        self._server = server
        self.send = connection.sendall

    def request(self):
        """Read a request to its end."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.some()
        head, _, body = got.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        (length,) = (int(each.split(":")[1]) for each in lines if each.startswith("content-length"))
        while len(body) < length:
            body += self.some()
        self._server.read += 1
        self._body = body
        return head.decode()

    def body(self):
        """Read a request to its end, and return what its JSON holds."""
        self.request()
        return json.loads(self._body)

    def is_answered(self):
        """Wait until the test says that the answer has come."""
        self._server.answered.wait()
        self._server.answered.clear()

    def some(self):
        """Read some bytes."""
        if not (data := self._connection.recv(2**16)):
            raise ConnectionError
        return data

    def is_asked(self):
        """Wait until a request is there, and read nothing of it."""
        select.select([self._connection], [], [])
