"""How people reach the repository: git over HTTPS and over ssh. docs/transport.md is the map of this package.

A transport finds out who somebody is and whether they may read, and starts
git with a signed word about it (pusher.py). What a push may do is decided by
the hooks, whichever way it came.
"""
