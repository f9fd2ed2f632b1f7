"""A failure is not LangChain's `ModelError`, which is what is caught; or it does not come."""

import os
import sys
import threading

from langchain_core.exceptions import ModelError

from chatwright.testing import Cut, Refuse, Upstream
from conformance.models import model

SECONDS = 20


def call(upstream):
    llm = model(sys.argv[1], upstream)
    if "max_retries" in type(llm).model_fields:
        llm = model(sys.argv[1], upstream, max_retries=0)
    try:
        _ = [*llm.stream("Hi")]
    except Exception as error:
        raised.append(error)


raised = []
for what, script in (
    ("status 400", [Refuse(400, "no")]),
    ("a reset in a stream", [Cut(reset=True)]),
):
    with Upstream(script) as upstream:
        raised.clear()
        thread = threading.Thread(target=call, args=(upstream,), daemon=True)
        thread.start()
        thread.join(SECONDS)
    if thread.is_alive():
        asked = len(upstream.requests)
        print(f"{what}, max_retries=0: no error in {SECONDS} s, but {asked} requests", flush=True)
        os._exit(0)
    for error in raised:
        if not isinstance(error, ModelError):
            print(f"{what}: {type(error).__module__}.{type(error).__name__}")
            sys.exit(0)
sys.exit(1)
