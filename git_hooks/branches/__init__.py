"""Branches and their environments: what there is, who uses it, what ends, what is missing."""
