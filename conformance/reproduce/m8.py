"""A refusal is shown by `invoke`, and is lost in a way of streaming."""

import sys

from chatwright.deltas import Refusal
from chatwright.testing import Upstream
from conformance.models import model

WORDS = "I can't help with that."


def shown(message) -> bool:
    return WORDS in repr(message.content_blocks) or WORDS in repr(message.additional_kwargs)


with Upstream([Refusal("I can't help "), Refusal("with that.")]) as upstream:
    llm = model(sys.argv[1], upstream)
    first, *rest = llm.stream("Hi")
    told = {
        "invoke": shown(llm.invoke("Hi")),
        "stream": shown(sum(rest, first)),
        "v3": shown(llm.stream_events("Hi", version="v3").output),
    }
print(f"the refusal is shown by {told}")
sys.exit(len({*told.values()}) == 1)
