"""Usage is counted under a name that is not the model's."""

import sys

from langchain_core.callbacks import UsageMetadataCallbackHandler

from chatwright.deltas import Usage
from chatwright.testing import Upstream
from conformance.models import model

counts = UsageMetadataCallbackHandler()
with Upstream(["The ", "cat ", "sat.", Usage(9, 6)]) as upstream:
    _ = [*model(sys.argv[1], upstream).stream("Hi", {"callbacks": [counts]})]
print(f"usage is counted under {[*counts.usage_metadata]}")
sys.exit([*counts.usage_metadata] == ["checked-model"])
