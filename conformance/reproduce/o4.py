"""`include_raw=True` raises where the answer can't be parsed, and the raw message is lost."""

import sys

from pydantic import BaseModel

from chatwright.testing import Upstream
from conformance.models import model


class City(BaseModel):
    name: str


with Upstream(['{"name": "Zür']) as upstream:
    asked = model(sys.argv[1], upstream).with_structured_output(City, include_raw=True)
    try:
        print(asked.invoke("Hi"))
    except ValueError as error:
        print(f"include_raw=True: {type(error).__name__}: {' '.join(str(error).split()):.150}")
        sys.exit(0)
sys.exit(1)
