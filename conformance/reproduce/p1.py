"""`stop` is taken without a word, and neither sent nor applied."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat ", "sat ", "on the mat."]) as upstream:
    text = model(sys.argv[1], upstream).invoke("Hi", stop=["sat"]).text
    body = upstream.requests[0].body
print(f"invoke('Hi', stop=['sat']) sends {sorted(body)}, and the text is {text!r}")
sys.exit("sat" in str(body) or "mat" not in text)
