"""`chatwright batch`: a chat model answers rows by the million, and nothing is lost."""
