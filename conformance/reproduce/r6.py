"""Two different requests share a cache key: the second gets the first one's answer."""

import sys

from langchain_core.caches import InMemoryCache

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    cache = InMemoryCache()
    one, other = (model(sys.argv[1], upstream, cache=cache, stop=[stop]) for stop in "ab")
    _ = one.invoke("Hi"), one.invoke("Hi"), other.invoke("Hi")
    if len(upstream.requests) == 1:
        print("stop=['b'] in the constructor: the answer is that of a model with stop=['a']")
        sys.exit(0)
    before = len(upstream.requests)
    one.model_copy(update={"max_tokens": 7, "temperature": 0.25}).invoke("Hi")
    print("a used model's copy, with another temperature: it gets the model's answer, cached")
    sys.exit(len(upstream.requests) > before)
