"""What a change of a branch does to the nodes that use it: compiled before and after, compared, kept."""
