"""`with_structured_output` tells traces nothing of the schema."""

import sys

from langchain_core.callbacks import BaseCallbackHandler

from chatwright.testing import Upstream
from conformance.models import model


class Handler(BaseCallbackHandler):
    def on_chat_model_start(self, *args, options, **kwargs):
        traced.append(options)


traced = []
schema = {"title": "City", "description": "A city.", "type": "object", "properties": {}}
with Upstream(["{}"]) as upstream:
    model(sys.argv[1], upstream).with_structured_output(schema).invoke(
        "Hi", {"callbacks": [Handler()]}
    )
print(f"options of on_chat_model_start: {traced}")
sys.exit("ls_structured_output_format" in traced[0])
