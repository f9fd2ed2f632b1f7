"""A failure is a bare exception, which `except ModelError` does not catch."""

import sys

from langchain_core.exceptions import ModelError

from chatwright.testing import Cut, Refuse, Upstream
from conformance.models import model

for what, script in (
    ("status 400", [Refuse(400, "no")]),
    ("a reset in a stream", [Cut(reset=True)]),
):
    with Upstream(script) as upstream:
        try:
            _ = [*model(sys.argv[1], upstream).stream("Hi")]
        except Exception as error:
            if not isinstance(error, ModelError):
                print(f"{what}: {type(error).__module__}.{type(error).__name__}: {error}")
                sys.exit(0)
sys.exit(1)
