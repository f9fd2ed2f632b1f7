"""`make bench`: measure everything and write docs/benchmarks.md. `… NAME` measures one group."""

import sys
from pathlib import Path

from benchmarks import batch, endpoint, engine, imports, memory, serving, streaming, tools
from benchmarks.harness import Row, machine, table

GROUPS = {
    "streaming": streaming,
    "memory": memory,
    "imports": imports,
    "tools": tools,
    "endpoint": endpoint,
    "engine": engine,
    "serving": serving,
    "batch": batch,
}
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"

TEXT = """\
# Benchmarks

Made by `make bench`: every row's two sides take turns in one run; medians, and the median of the
ratios round by round. Only the ratios mean something elsewhere. {machine}.

"The guide's own code" is the model of LangChain's guide as it is printed there; "a finished result"
is a model whose `_generate` and `_agenerate` return one and do nothing, which is what core itself
takes (`benchmarks/peers.py`).

{table}

What is missed, and why:

- Binding tools takes 13 to 14 µs when the machine is quiet and twice that when it is not: the bound
  is in µs, so that a slow machine misses it.
- Endpoints without the extra `fast`: what httpx2 takes to hand over one HTTP chunk stands in every
  token, and LangChain's chunk comes on top. With `fast`, aiohttp hands over all that has come at
  once; the peers' own transports stay as they are.
- A token through the server: LangChain's own `astream` is a third of it (its chunk, and the sum at
  the end, for whoever listens to the run); the bare app writes bytes that lie ready.
- 50 ms a call, 256 at once, in a batch: 40 rounds of `asyncio.sleep` alone reach 0.98 ×, bare
  `ainvoke` in 256 tasks 0.96 ×; a batch reads, writes and syncs beside that, and begins and ends.
- Memory of a million rows: 25 bytes a row say which are done, and as much again is taken while
  they are sorted in.
- SmolLM2 against raw xllamacpp, each in a process of its own: 0.90 and 1.03 × one at a time, 0.95
  and 0.99 × 8 at once, in two runs. Of the 8 s of CPU that 512 tokens take, 8 at once, Python's
  part is 0.2 s here and 0.1 s there.
"""


def main() -> None:
    wanted = sys.argv[1:] or [*GROUPS]
    rows: list[Row] = []
    for name in wanted:
        rows += GROUPS[name].rows()
        print(table(rows), flush=True)
    if wanted == [*GROUPS]:
        TARGET.write_text(TEXT.format(machine=machine(), table=table(rows)), "utf-8")


if __name__ == "__main__":
    main()
