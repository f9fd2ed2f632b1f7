"""With `max_retries=0`, a lost connection is asked for again and again: no error comes."""

import contextlib
import os
import sys
import threading
import time

from chatwright.testing import Cut, Upstream
from conformance.models import model

SECONDS = 20


def call(retries):
    with Upstream([Cut(reset=True)]) as upstream:
        thread = threading.Thread(target=ask, args=(upstream, retries), daemon=True)
        began = time.monotonic()
        thread.start()
        thread.join(SECONDS)
        took, asked = time.monotonic() - began, len(upstream.requests)
    end = f"no error in {SECONDS} s" if thread.is_alive() else f"an error after {took:.0f} s"
    return thread.is_alive(), f"max_retries={retries}: {asked} requests, {end}"


def ask(upstream, retries):
    with contextlib.suppress(Exception):  # it is what should come
        model(sys.argv[1], upstream, max_retries=retries).invoke("Hi")


hangs, told = call(0)
if hangs:
    print(f"a reset, {told}; {call(2)[1]}", flush=True)
os._exit(not hangs)
