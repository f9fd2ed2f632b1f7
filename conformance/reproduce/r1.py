"""Traces name another model than the one that a call asks."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream)
    llm.invoke("Hi", model="another-model")
    asked = upstream.requests[0].asked.model
traced = llm._get_ls_params(model=asked).get("ls_model_name")
print(f"the model that is asked: {asked}; ls_model_name: {traced}")
sys.exit(traced is not None and asked == traced)
