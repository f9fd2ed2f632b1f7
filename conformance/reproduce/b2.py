"""`_identifying_params` does not name the model: traces can't tell models apart by it."""

import sys

from conformance.models import model

found = model(sys.argv[1])._identifying_params
print(f"_identifying_params has the keys {sorted(found)}")
sys.exit(bool({"model", "model_name", "model_id"} & {*found}))
