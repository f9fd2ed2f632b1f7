"""With `stream_events(version="v3")`, token callbacks have no chunk."""

import sys

from langchain_core.callbacks import BaseCallbackHandler

from chatwright.testing import Upstream
from conformance.models import model


class Handler(BaseCallbackHandler):
    def on_llm_new_token(self, token, *, chunk=None, **kwargs):
        chunks.append(chunk)


chunks = []
with Upstream(["The ", "cat ", "sat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    _ = [*llm.stream_events("Hi", {"callbacks": [Handler()]}, version="v3")]
print(f"stream_events(version='v3'): chunk= of on_llm_new_token is {chunks}")
sys.exit(None not in chunks)
