"""Plain `invoke`, which nobody streams, fires token callbacks."""

import sys

from langchain_core.callbacks import BaseCallbackHandler

from chatwright.testing import Upstream
from conformance.models import model


class Handler(BaseCallbackHandler):
    def on_llm_new_token(self, token, **kwargs):
        tokens.append(token)


tokens = []
with Upstream(["The ", "cat ", "sat."]) as upstream:
    model(sys.argv[1], upstream).invoke("Hi", {"callbacks": [Handler()]})
print(f"invoke: on_llm_new_token got {tokens}")
sys.exit(not tokens)
