"""`method="json_schema"`, or `strict=True`, is taken and not sent, or raises without its name."""

import inspect
import sys

from chatwright.testing import Upstream
from conformance.models import model
from conformance.reproduce import compact

properties = {"name": {"type": "string"}}
schema = {"title": "City", "description": "A city.", "type": "object", "properties": properties}
cls = type(model(sys.argv[1]))
named = "strict" in inspect.signature(cls.with_structured_output).parameters
for given in (
    {"method": "json_schema"},
    {"method": "json_schema", "strict": True},
    {"method": "function_calling", "strict": True},
):
    if "strict" in given and not named:
        continue
    with Upstream(['{"name": "Zürich"}']) as upstream:
        llm = model(sys.argv[1], upstream)
        try:
            llm.with_structured_output(schema, **given).invoke("JSON, please")
        except (NotImplementedError, TypeError) as error:
            if any(each in str(error) for each in given):
                continue  # it is refused by name
            print(f"with_structured_output(schema, **{given}) raises {error!r}")
            sys.exit(0)
        except Exception:
            continue  # no call came of it
    body = upstream.requests[0].body
    sent = {each: body[each] for each in ("response_format", "tools") if each in body}
    wanted = '"strict":true' if "strict" in given else "json_schema"
    if wanted not in compact(body):
        print(f"with_structured_output(schema, **{given}) sends {compact(sent)}")
        sys.exit(0)
sys.exit(1)
