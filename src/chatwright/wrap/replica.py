"""Models as they are in a replica: in a process of their own, with CPUs of its own."""

from typing import Any

from chatwright.langchain.model import ChatModel
from chatwright.wrap.function import chat_model
from chatwright.wrap.gguf import ChatGGUF
from chatwright.wrap.load import load

__all__ = ["replica"]


def replica(model: Any, threads: int) -> ChatModel:
    """Return a model as it is in a replica.

    Args:
        model: A string for `load`, or what `chat_model` takes.
        threads: How many threads may compute, unless the model says so itself.

    Raises:
        LoadError: The string names nothing that can be loaded.
    """
    made = load(model) if isinstance(model, str) else chat_model(model)
    if isinstance(made, ChatGGUF) and made.n_threads is None:
        return made.model_copy(update={"n_threads": threads})
    return made
