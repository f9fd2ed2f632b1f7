"""`make test-long`: the oldest versions, langchain's own tests of agents, and all of the corpus.

Its arguments are the Python of the environment with the oldest versions, and the folder with
langchain's source distribution.
"""

import sys

from both import side_by_side

OLDEST, LANGCHAIN = sys.argv[1:]
PYTEST = ["-m", "pytest", "-m"]
LEFT_OPEN = ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]
"""With the oldest versions, an event loop of nobody's is found open now and then."""
KIMI = "tests/run/serve/test_kimi.py"
APART = ["tests/new", "tests/wild"]
LANES = [
    [
        [
            OLDEST,
            *PYTEST,
            "not engine and not wild and (pairs or not long)",
            *LEFT_OPEN,
            "tests/contract",
        ],
        [sys.executable, *PYTEST, "long", KIMI],
        [sys.executable, *PYTEST, "long", *APART],
    ],
    [
        [sys.executable, "tests/swapped", LANGCHAIN],
        [sys.executable, *PYTEST, "long", *(f"--ignore={each}" for each in [KIMI, *APART])],
    ],
]

if __name__ == "__main__":
    sys.exit(side_by_side(LANES))
