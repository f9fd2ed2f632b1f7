"""What a model was asked and what it answered, kept in a file and replayed from there."""
