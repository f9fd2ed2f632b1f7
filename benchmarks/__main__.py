"""`make bench`: measure everything and write docs/benchmarks.md. `… NAME` measures one group."""

import sys
from pathlib import Path

from benchmarks import endpoint, engine, imports, memory, streaming, tools
from benchmarks.harness import Row, machine, table

GROUPS = {
    "streaming": streaming,
    "memory": memory,
    "imports": imports,
    "tools": tools,
    "endpoint": endpoint,
    "engine": engine,
}
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"

TEXT = """\
# Benchmarks

Made by `make bench`: every row's two sides take turns in one run; medians, and the median of the
ratios round by round. Only the ratios mean something elsewhere. {machine}.

"The guide's own code" is the model of LangChain's guide as it is printed there
(`benchmarks/peers.py`).

{table}

What is missed, and why:

- `invoke`: what stands around a call since there are plans and a filter of reasoning makes it 6 to
  10 % slower than the guide's own code. Of an async function it also runs the coroutine on an event
  loop in the calling thread: a task and two turns of the loop, some 25 µs on a quiet machine.
- `ainvoke`: a model whose `_agenerate` returns at once and does nothing takes 0.42 to 0.44 × of the
  guide's own code here, so that core alone is above the mark; ours adds some 40 µs to it.
- Binding tools takes 13 to 14 µs when the machine is quiet and twice that when it is not: the bound
  is in µs, so that a slow machine misses it.
- Endpoints without the extra `fast`: what httpx2 takes to hand over one HTTP chunk stands in every
  token, and LangChain's chunk comes on top. With `fast`, aiohttp hands over all that has come at
  once; the peers' own transports stay as they are.
- SmolLM2 against raw xllamacpp: 0.93 to 1.05 × in the runs so far; the machine is noisy.
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
