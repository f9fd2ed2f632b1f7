"""The model's `repr` shows its API key."""

import sys

from conformance.models import KEY, PACKAGES, model

llm = model(sys.argv[1])
fields = [each for each, value in dict(llm).items() if value == KEY]
print(f"repr of {PACKAGES[sys.argv[1]].name} has the key, of the fields {fields}")
sys.exit(KEY not in repr(llm))
