"""A text of `response_metadata` comes on several chunks, and is joined in their sum."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat ", "sat."]) as upstream:
    first, *rest = model(sys.argv[1], upstream).stream("Hi")
named = sum(rest, first).response_metadata.get("model_name")
print(f"model_name in the sum of the chunks: {named!r}")
sys.exit(named == "checked-model")
