"""Deltas in, deltas out: no I/O but threads and loops, no LangChain."""
