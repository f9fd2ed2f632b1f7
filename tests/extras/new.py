"""A package around a model."""

from pathlib import Path

from chatwright.new import create

folder = create("langchain-acme", kind="function", folder=Path("langchain-acme"), author="Ann")
assert "class ChatAcme" in (folder / "langchain_acme" / "chat_models.py").read_text()
