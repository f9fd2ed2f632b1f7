"""Arguments that are no JSON object: a call that is valid, or an error, but no invalid call."""

import sys

from chatwright.deltas import ToolCallDelta
from chatwright.testing import Upstream
from conformance.models import model

for given in ("[1, 2]", '{"word": '):
    with Upstream([ToolCallDelta(0, "call_1", "look_up", given)]) as upstream:
        try:
            answer = model(sys.argv[1], upstream).invoke("Hi")
        except ValueError as error:
            said = " ".join(str(error).split())
            print(f"arguments {given!r}: {type(error).__name__}: {said:.150}")
            sys.exit(0)
    if answer.tool_calls:
        print(f"arguments {given!r}: tool_calls {answer.tool_calls}")
        sys.exit(0)
sys.exit(1)
