"""`configurable_fields` switches streaming off: False is set for the model that core makes."""

import sys

from langchain_core.runnables import ConfigurableField

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat ", "sat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    flexible = llm.configurable_fields(temperature=ConfigurableField(id="t"))
    before = [each.text for each in llm.stream("Hi")]
    after = [each.text for each in flexible.stream("Hi", {"configurable": {"t": 0.5}})]
print(f"chunks before: {before}, after: {after}")
sys.exit(len(after) > 2)
