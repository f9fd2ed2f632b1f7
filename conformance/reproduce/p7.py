"""A stream that a stop sequence ends does not say so."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat."]) as upstream:  # the server says finish_reason: "stop"
    chunks = [*model(sys.argv[1], upstream).stream("Hi", stop=["sat"])]
told = [each.response_metadata for each in chunks]
print(f"response_metadata of the chunks: {told}")
sys.exit(any("finish_reason" in each or "stop_reason" in each for each in told))
