"""What `probe` asks, by topic."""
