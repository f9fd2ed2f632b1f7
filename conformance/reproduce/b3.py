"""The constructor takes a standard parameter without a word, and drops it."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream, max_tokens=7777, stop=["never there"]).invoke("Hi")
    sent = upstream.requests[0].raw.decode()
lost = [
    f"{name}={text}"
    for name, text in (("max_tokens", "7777"), ("stop", "never there"))
    if text not in sent
]
print(f"{lost} of the constructor: no error, and not in the request: {sent}")
sys.exit(not lost)
