"""What is known of providers' own servers, whichever of the wires they are spoken to by."""

from collections.abc import Mapping

from chatwright.wires.quirks import Quirks

__all__ = ["HOSTS"]

HOSTS: Mapping[str, Quirks] = {
    # https://api-docs.deepseek.com/guides/vision: images, no other medium
    "api.deepseek.com": Quirks(inputs=frozenset({"image"})),
}
"""Quirks by hosts."""
