"""An answer can't be loaded again after `dumps`: it holds an object of the client's."""

import sys

from langchain_core.load import dumps, loads

from chatwright.deltas import Usage
from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["Hi", Usage(9, 6)]) as upstream:
    answer = model(sys.argv[1], upstream).invoke("Hi")
try:
    loads(dumps(answer), allowed_objects="messages")
except NotImplementedError as error:
    print(f"loads(dumps(answer)) raises {error!r:.200}")
    sys.exit(0)
sys.exit(1)
