"""A call's `stop` does not take the place of the constructor's: it raises."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The cat."]) as upstream:
    try:
        model(sys.argv[1], upstream, stop=["dog"]).invoke("Hi", stop=["cat"])
    except ValueError as error:
        print(f"stop=['dog'] in the constructor, stop=['cat'] in the call: {error!r}")
        sys.exit(0)
sys.exit(1)
