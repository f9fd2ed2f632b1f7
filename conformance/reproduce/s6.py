"""No chunk of a stream has `response_metadata`."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat."]) as upstream:
    chunks = [*model(sys.argv[1], upstream).stream("Hi")]
told = [each.response_metadata for each in chunks]
print(f"{len(chunks)} chunks, response_metadata: {told}")
sys.exit(any(told))
