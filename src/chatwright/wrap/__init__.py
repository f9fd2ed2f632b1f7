"""Anything to a chat model: one adapter a file."""
