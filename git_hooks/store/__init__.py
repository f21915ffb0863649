"""Versions of environments on disk: which units, their files, what is looked at of them."""
