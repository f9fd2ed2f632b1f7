"""A provider's built-in tool raises an error that says nothing of it."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    try:
        model(sys.argv[1], upstream).bind_tools([{"type": "web_search"}]).invoke("Hi")
    except KeyError as error:
        print(f"bind_tools([{{'type': 'web_search'}}]).invoke: {error!r}")
        sys.exit(0)
sys.exit(1)
