"""Weights on disk, run by llama.cpp inside the process."""

from chatwright.wrap.gguf.model import ChatGGUF

__all__ = ["ChatGGUF"]
