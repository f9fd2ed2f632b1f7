"""An image in LangChain's own form is dropped without a word."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

image = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
with Upstream(["Hi"]) as upstream:
    model(sys.argv[1], upstream).invoke(
        [("user", [{"type": "text", "text": "What is it?"}, image])]
    )
    sent = upstream.requests[0].body["messages"]
print(f"what was sent of a text and an image: {sent}")
sys.exit("iVBORw0KGgo=" in str(sent))
