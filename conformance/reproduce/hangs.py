"""With `max_retries=0`, a lost connection is asked for again and again: no error comes."""

import contextlib
import os
import sys
import threading

from chatwright.testing import Cut, Upstream
from conformance.models import model

SECONDS = 20


def call():
    with contextlib.suppress(Exception):  # it is what should come
        model(sys.argv[1], upstream, max_retries=0).invoke("Hi")


with Upstream([Cut(reset=True)]) as upstream:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(SECONDS)
    hangs, asked = thread.is_alive(), len(upstream.requests)
if hangs:
    print(f"a reset, max_retries=0: no error in {SECONDS} s, but {asked} requests", flush=True)
os._exit(not hangs)
