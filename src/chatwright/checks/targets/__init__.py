"""How a model is constructed, and given a backend."""
