"""HTTP endpoints as chat models."""
