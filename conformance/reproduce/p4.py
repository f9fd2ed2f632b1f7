"""A call's `stop` does not take the place of the constructor's: that is sent as well."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The end."]) as upstream:
    try:
        model(sys.argv[1], upstream, stop=["dog"]).invoke("Hi", stop=["cat"])
    except ValueError:
        sys.exit(1)  # it is refused
    sent = upstream.requests[0].raw.decode()
told = {each: each in sent for each in ("dog", "cat")}
print(f"stop=['dog'] in the constructor, stop=['cat'] in the call: in the request: {told}")
sys.exit(not told["dog"])
