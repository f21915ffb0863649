"""Secrets in what a repository holds: passwords, tokens, private keys, in any file and as Puppet writes them.

Owns what counts as a secret (rules over Puppet's syntax tree, over YAML and over text, and those of a scanner's
engine), how a secret is named without being told (findings.py), and which of them operators allow (allowances.py).
Not here: which files of a push are looked at (checks/secrets.py).
"""
