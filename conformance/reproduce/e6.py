"""A refusal is asked for again, though `max_retries=0` says that there are no retries."""

import contextlib
import sys

from chatwright.testing import Refuse, Upstream
from conformance.models import model

found = []
for status in (400, 401, 403, 404, 422, 429, 503):
    with Upstream([Refuse(status, "no")]) as upstream:
        for way in ("invoke", "stream"):
            before = len(upstream.requests)
            with contextlib.suppress(Exception):
                given = model(sys.argv[1], upstream, max_retries=0)
                _ = given.invoke("Hi") if way == "invoke" else [*given.stream("Hi")]
            if (asked := len(upstream.requests) - before) > 1:
                found.append(f"{way}, HTTP {status}: asked {asked} times")
print(f"max_retries=0: {'; '.join(found) or 'each was asked once'}")
sys.exit(not found)
