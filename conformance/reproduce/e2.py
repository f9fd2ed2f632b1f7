"""An error that the server tells in the middle of a stream is passed over: half looks whole."""

import json
import sys

from chatwright.testing import Bytes, Upstream
from conformance.models import model

fields = {"message": "overloaded", "type": "server_error", "code": None}
error = f"data: {json.dumps({'error': fields})}\n\ndata: [DONE]\n\n".encode()
with Upstream(["half ", "an ", Bytes(error)]) as upstream:
    try:
        chunks = [each.text for each in model(sys.argv[1], upstream).stream("Hi")]
    except Exception:
        sys.exit(1)
    wire = upstream.requests[0].path
print(f"the stream of {wire} told the error 'overloaded'; stream gives {chunks}, and no error")
sys.exit(not wire.endswith("/chat/completions"))
