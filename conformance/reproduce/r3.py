"""`lc_versions` of traces does not name the package."""

import sys

from conformance.models import PACKAGES, model

found = (model(sys.argv[1]).metadata or {}).get("lc_versions")
print(f"metadata['lc_versions'] is {found}")
sys.exit(PACKAGES[sys.argv[1]].distribution in (found or {}))
