"""Requests go through a SOCKS proxy: one that nobody is behind, so that it is named."""

from chatwright import ChatEndpoint
from chatwright.errors import MissingExtraError

model = ChatEndpoint(
    base_url="http://acme.example/v1",
    model="m",
    api_key="k",
    proxy="socks5://127.0.0.1:9",
    max_retries=0,
)
try:
    model.invoke("hello")
except MissingExtraError:
    raise
except Exception as error:
    assert "127.0.0.1:9" in str(error), repr(error)
else:
    raise AssertionError("there is no such proxy")
