"""`stop` is taken without a word, and neither sent nor applied."""

import sys

from chatwright.testing import Upstream
from conformance.models import model

with Upstream(["The ", "cat ", "sat ", "on the mat."]) as upstream:
    text = model(sys.argv[1], upstream).invoke("Hi", stop=["sat"]).text
    sent = upstream.requests[0].raw.decode()
print(f"stop=['sat']: the text is {text!r}, and the request {sent}")
sys.exit("sat" in sent or "mat" not in text)
