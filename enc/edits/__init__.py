"""Edits of entries: what is wanted, what changes, and the way back."""
