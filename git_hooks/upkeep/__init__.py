"""What the branch manager does by itself, and when."""
