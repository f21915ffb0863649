"""How git is read, and refs are moved: the only place that imports pygit2."""
