"""Two models that send different requests share a cache key: one gets the other's answer."""

import sys

from langchain_core.caches import InMemoryCache

from chatwright.testing import Upstream
from conformance.models import PACKAGES, model

name = sys.argv[1]
asked = PACKAGES[name].given.get("model", "checked-model")
fields = type(model(name)).model_fields
known = {*fields, *(each.alias for each in fields.values())}
values = {
    "model": (asked, f"{asked}-2"),
    "temperature": (0.1, 0.9),
    "max_tokens": (5, 6),
    "num_predict": (5, 6),
}
shared = []
for field in [each for each in values if each in known]:
    with Upstream(["Hi"]) as upstream:
        for value in values[field]:  # without a cache: do the requests differ?
            model(name, upstream, cache=False, **{field: value}).invoke("Hi")
        differ = upstream.requests[-2].body != upstream.requests[-1].body
        before, cache = len(upstream.requests), InMemoryCache()
        for value in values[field]:
            model(name, upstream, cache=cache, **{field: value}).invoke("Hi")
        if differ and len(upstream.requests) == before + 1:
            shared.append(" and ".join(f"{field}={value!r}" for value in values[field]))
print(f"the requests differ, and the second is answered from the cache: {'; '.join(shared)}")
sys.exit(not shared)
