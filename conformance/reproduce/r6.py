"""Two different requests share a cache key: the second gets the first one's answer."""

import sys

from langchain_core.caches import InMemoryCache

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream, cache=InMemoryCache())
    other = llm.model_copy(update={"max_tokens": 7, "temperature": 0.25})
    cases = {"stop=['b'] after stop=['a']": [(llm, ["a"]), (llm, ["b"])]}
    cases["a copy with another temperature and max_tokens"] = [(llm, None), (llm, None), (other, None)]
    for what, calls in cases.items():
        before = len(upstream.requests)
        for each, stop in calls:
            each.invoke(what, stop=stop)
        if len(upstream.requests) < before + 2:
            print(f"{what}: no second request, the answer came from the cache")
            sys.exit(0)
sys.exit(1)
