"""`model_provider` of messages is not `ls_provider` of traces."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream)
    named = llm.invoke("Hi").response_metadata.get("model_provider")
traced = llm._get_ls_params()["ls_provider"]
print(f"model_provider is {named!r}, ls_provider {traced!r}")
sys.exit(named == traced)
