"""`configurable_fields` loses what is not configured: streaming, the key; or the model fails."""

import sys

from langchain_core.runnables import ConfigurableField

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat ", "sat."]) as upstream:
    llm = model(sys.argv[1], upstream)
    flexible = llm.configurable_fields(temperature=ConfigurableField(id="t"))
    before = [each.text for each in llm.stream("Hi")]
    try:
        after = [each.text for each in flexible.stream("Hi", {"configurable": {"t": 0.5}})]
    except Exception as error:
        print(f"with a temperature configured: {' '.join(str(error).split())}")
        sys.exit(0)
    keys = [each.headers.get("authorization") for each in upstream.requests]
if keys[0] != keys[-1]:
    print(f"the key that is sent before: {keys[0]}, after: {keys[-1]}")
    sys.exit(0)
print(f"chunks before: {before}, after: {after}")
sys.exit(len(after) > 2)
