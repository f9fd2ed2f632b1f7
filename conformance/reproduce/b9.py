"""An answer is not loaded again as it was after `dumps`, or not at all."""

import re
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
    objects = re.findall(r"'id': \[([^\]]*)\]", str(error))
    said = ".".join(each.strip(" '") for each in "".join(objects[:1]).split(","))
    print(f"loads(dumps(answer)) raises NotImplementedError: the answer holds a {said}")
    sys.exit(0)
fields = {each: getattr(answer, each) for each in type(answer).model_fields}
lost = {name: value for name, value in fields.items() if getattr(again, name) != value}
print(f"after loads(dumps(answer)), these differ: {lost}")
sys.exit(not lost)
