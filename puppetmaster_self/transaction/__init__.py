"""Becoming a self-master and going back: what is found, planned, done step by step, and undone."""
