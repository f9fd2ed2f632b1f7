"""Counts are made up where the server tells none, and nothing says so."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The mat."]) as upstream:  # no usage
    first, *rest = model(sys.argv[1], upstream).stream("Hi")
answer = sum(rest, first)
print(f"usage_metadata: {answer.usage_metadata}, response_metadata: {answer.response_metadata}")
sys.exit(not answer.usage_metadata)
