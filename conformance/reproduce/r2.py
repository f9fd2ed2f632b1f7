"""A parameter of a call raises what does not name it, though it is one of the constructor's."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi"]) as upstream:
    for name, value in {"temperature": 0.25, "max_tokens": 77, "top_p": 0.5, "seed": 7}.items():
        if name in type(model(sys.argv[1])).model_fields:
            try:
                model(sys.argv[1], upstream).invoke("Hi", **{name: value})
            except Exception as error:
                if name not in str(error):
                    print(f"{name}={value} in the call: {error!r}")
                    sys.exit(0)
sys.exit(1)
