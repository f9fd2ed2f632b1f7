"""`disable_streaming=True` gives one chunk, and token callbacks all the same."""

import sys

from langchain_core.callbacks import BaseCallbackHandler

from chatwright.testing import Upstream
from conformance.models import model


class Handler(BaseCallbackHandler):
    def on_llm_new_token(self, token, **kwargs):
        tokens.append(token)


tokens = []
with Upstream(["The ", "cat ", "sat."]) as upstream:
    llm = model(sys.argv[1], upstream, disable_streaming=True)
    chunks = [*llm.stream("Hi", {"callbacks": [Handler()]})]
print(f"disable_streaming=True: {len(chunks)} chunk by stream, and on_llm_new_token got {tokens}")
sys.exit(not tokens)
