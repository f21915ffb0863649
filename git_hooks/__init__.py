"""The branch manager: a push makes a branch's environment live. docs/branches.md is the map of this package."""
