"""A run of the rules: in which order, in which process, within which limits."""
