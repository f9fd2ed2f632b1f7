"""aiohttp carries the requests."""

import sys

from chatwright import ChatEndpoint
from chatwright.testing import Upstream, little_llm

with Upstream(little_llm) as upstream:
    for options in ({"fast": True}, {}):
        model = ChatEndpoint(base_url=f"{upstream.url}/v1", model="m", api_key="k", **options)
        assert model.invoke("hello").text
        assert "aiohttp" in sys.modules
