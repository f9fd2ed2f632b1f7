"""An image, or audio, in LangChain's own form is dropped without a word."""

import sys

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import compact

DATA = "iVBORw0KGgo="
dropped = {}
for kind, mime in (("image", "image/png"), ("audio", "audio/wav")):
    block = {"type": kind, "base64": DATA, "mime_type": mime}
    with Upstream(["A cat."]) as upstream:
        try:
            said = [{"type": "text", "text": "What is it?"}, block]
            model(sys.argv[1], upstream).invoke([("user", said)])
        except Exception:
            continue  # it is refused
    body = upstream.requests[0].body
    sent = compact(body.get("messages") or body.get("input"))
    if DATA not in sent and kind not in sent:  # where its type is sent, the server may refuse
        dropped[kind] = sent
print(f"a text and {' or '.join(dropped)}: what is sent is {' or '.join({*dropped.values()})}")
sys.exit(not dropped)
