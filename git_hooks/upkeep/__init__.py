"""The branch manager's periodic work, and when it is done."""
