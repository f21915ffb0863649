"""`python -m tests.bench`: the figures that the project promises, measured together in one run."""
