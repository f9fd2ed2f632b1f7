"""Parquet in, Parquet out."""

from chatwright import chat_model, run_batch

shout = chat_model(lambda messages: messages[-1].text.upper())
run_batch(shout, ["one", "two"], "rows.parquet")

import pyarrow.dataset

rows = pyarrow.dataset.dataset("rows.parquet").to_table(columns=["key", "text"])
pyarrow.parquet.write_table(rows, "in.parquet")
summary = run_batch(shout, "in.parquet", "out.parquet", prompt="{text}!")
assert (summary.answers, summary.failed) == (2, 0)
out = pyarrow.dataset.dataset("out.parquet").to_table()
assert sorted(out["text"].to_pylist()) == ["ONE!", "TWO!"]
