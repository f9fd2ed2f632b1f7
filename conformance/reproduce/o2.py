"""A `method` of `with_structured_output` raises what does not name it, or is taken if unknown."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

properties = {"name": {"type": "string"}}
schema = {"title": "City", "description": "A city.", "type": "object", "properties": properties}
for method in ("telepathy", "json_schema"):
    with Upstream(['{"name": "Zürich"}']) as upstream:
        llm = model(sys.argv[1], upstream)
        try:
            llm.with_structured_output(schema, method=method).invoke("JSON, please")
        except Exception as error:
            told = repr(error)
        else:
            told = "it is accepted"
    right = told == "it is accepted" if method == "json_schema" else method in told
    if not right:
        print(f"method={method!r}: {told}")
        sys.exit(0)
sys.exit(1)
