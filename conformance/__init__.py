"""Published packages, pinned, and what `chatwright check` finds in them."""
