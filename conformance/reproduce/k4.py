"""A model that has answered can't be copied deeply, or pickled."""

import copy
import pickle
import sys

from chatwright.testing import Upstream
from conformance.models import model

ways = {
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "model_copy(deep=True)": lambda each: each.model_copy(deep=True),
}
failed = []
with Upstream(["Hi"]) as upstream:
    llm = model(sys.argv[1], upstream)
    llm.invoke("Hi")
for name, way in ways.items():
    try:
        way(llm)
    except Exception as error:
        failed.append(f"{name}: {error!r}")
print("; ".join(failed))
sys.exit(not failed)
