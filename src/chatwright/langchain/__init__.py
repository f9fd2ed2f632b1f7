"""Deltas to LangChain and back: the one `BaseChatModel` subclass and what it needs."""
