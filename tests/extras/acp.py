"""An agent that speaks the Agent Client Protocol; a program that is not there is named."""

import sys
from pathlib import Path

from chatwright import load
from chatwright.errors import LoadError

AGENT = Path(__file__).parents[1] / "wrap" / "acp_agent.py"

assert load(f"acp:{sys.executable} '{AGENT}'").invoke("hello").text == "hello"
try:
    load("acp:no-such-agent").invoke("hello")
except LoadError as error:
    assert "'no-such-agent' can't be run" in str(error), error
else:
    raise AssertionError("nothing was wrong")
