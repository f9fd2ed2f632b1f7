"""An unknown `method` of `with_structured_output` raises an error that does not name it."""

import sys

from conformance.models import model

schema = {"title": "City", "description": "A city.", "type": "object", "properties": {}}
try:
    model(sys.argv[1]).with_structured_output(schema, method="telepathy")
except Exception as error:
    print(f"method='telepathy': {error!r}")
    sys.exit("telepathy" in str(error))
sys.exit(1)
