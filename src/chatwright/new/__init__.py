"""A package of one's own around a chat model, ready to be published."""

from chatwright.new.package import KINDS, create

__all__ = ["KINDS", "create"]
