"""Chat models, chains and compiled graphs as the source of a chat model."""

from chatwright.wrap.runnable.model import ChatRunnable

__all__ = ["ChatRunnable"]
