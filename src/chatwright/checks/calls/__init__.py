"""How chat models are called, and what is kept of each call."""
