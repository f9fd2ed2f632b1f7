"""An image, or audio, in LangChain's own form is dropped without a word."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

data = "iVBORw0KGgo="
blocks = (
    {"type": "image", "base64": data, "mime_type": "image/png"},
    {"type": "audio", "base64": data, "mime_type": "audio/wav"},
)
for block in blocks:
    with Upstream(["A cat."]) as upstream:
        said = [{"type": "text", "text": "What is it?"}, block]
        try:
            model(sys.argv[1], upstream).invoke([("user", said)])
        except Exception:
            continue  # it is refused
        sent = upstream.requests[0].raw.decode()
    if data not in sent:
        print(f"a text and {block['type']} of {data}: the request is {sent}")
        sys.exit(0)
sys.exit(1)
