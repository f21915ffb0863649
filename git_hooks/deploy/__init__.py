"""Making an environment show a commit: what has to be done, in which order, and what people are told."""
