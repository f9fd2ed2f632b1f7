"""`load(dumpd(model))` raises, though the class says that it is serializable."""

import sys

from langchain_core.load import dumpd, load

from conformance.models import KEY, PACKAGES, model

llm = model(sys.argv[1])
cls = type(llm)
space = cls.get_lc_namespace()[:1]
keys = dict.fromkeys(llm.lc_secrets.values(), KEY)
try:
    load(dumpd(llm), allowed_objects=[cls], valid_namespaces=space, secrets_map=keys)
except Exception as error:
    print(f"load(dumpd({PACKAGES[sys.argv[1]].name}(…))): {error!r}")
    sys.exit(not cls.is_lc_serializable())
sys.exit(1)
