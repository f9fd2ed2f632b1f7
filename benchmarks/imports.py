"""What importing costs, in processes of their own."""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.harness import Row, timed, turns

PEER = "from langchain_core.language_models import BaseChatModel"
ROUNDS = 9


def process(code: str) -> Callable[[], float]:
    command = [sys.executable, "-c", code]
    return timed(lambda: subprocess.run(command, check=True), 1, 1e3)


def rows() -> list[Row]:
    found = []
    for code in ("import chatwright", "from chatwright import ChatModel, chat_model"):
        mine, theirs, ratio = turns(process(code), process(PEER), ROUNDS)
        found.append(Row(f"`{code}`", mine, theirs, "ms", ratio, ("<=", 1.15), f"`{PEER}`"))
    return found
