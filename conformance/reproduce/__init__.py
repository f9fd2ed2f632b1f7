"""One script per rule that fails somewhere: `python -m conformance.reproduce.e4 ChatGroq`.

They know nothing of check: plain LangChain, and a server on loopback. The exit code is 0, with a
line of evidence, where the fault is there, and 1 where it is not.
"""
