"""What rules say to models, and how they look at what comes."""
