"""Traces name another model than the one that was asked, or none."""

import sys

from chatwright.testing import Upstream
from conformance.models import PACKAGES, model

name = sys.argv[1]
with Upstream(["Hi"]) as upstream:
    llm = model(name, upstream)
    if not PACKAGES[name].fake:
        llm.invoke("Hi", model="another-model")
asked = upstream.requests[0].asked.model if upstream.requests else None
traced = llm._get_ls_params(**({"model": asked} if upstream.requests else {})).get("ls_model_name")
print(f"the model that is asked: {asked or 'a fake'}; ls_model_name: {traced}")
sys.exit(traced is not None and asked in {traced, None})
