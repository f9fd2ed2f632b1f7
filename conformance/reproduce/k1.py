"""The model's `repr`, which core hands to callbacks and traces, shows secrets."""

import sys

from conformance.models import KEY, PACKAGES, model

name = sys.argv[1]
shown = repr(model(name, user="ada:secret-password@"))
if "default_headers" in type(model(name)).model_fields:
    shown += repr(model(name, default_headers={"X-Token": "secret-header"}))
secrets = {"the key": KEY, "the address's password": "secret-password", "a header": "secret-header"}
found = [what for what, secret in secrets.items() if secret in shown]
print(f"repr of {PACKAGES[name].name} shows {' and '.join(found)}")
sys.exit(not found)
