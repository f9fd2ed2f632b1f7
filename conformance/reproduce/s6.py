"""No chunk of a stream has `response_metadata`."""

import sys

from conformance.models import model

chunks = [*model(sys.argv[1]).stream("Hi")]
print(
    f"{len(chunks)} chunks, response_metadata: {[each.response_metadata for each in chunks[-2:]]}"
)
sys.exit(any(each.response_metadata for each in chunks))
