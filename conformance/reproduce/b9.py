"""An answer is not loaded again as it was after `dumps`, or not at all."""

import sys

from langchain_core.load import dumps, loads

from chatwright.deltas import Usage
from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi", Usage(9, 6)]) as upstream:
    answer = model(sys.argv[1], upstream).invoke("Hi")
try:
    again = loads(dumps(answer), allowed_objects="messages")
except NotImplementedError as error:
    print(f"loads(dumps(answer)) raises {error!r:.200}")
    sys.exit(0)
fields = {**vars(answer), **(answer.model_extra or {})}
lost = {name: value for name, value in fields.items() if getattr(again, name, None) != value}
print(f"after loads(dumps(answer)), these differ: {lost}")
sys.exit(not lost)
