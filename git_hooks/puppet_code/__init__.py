"""Reads manifests and EPP templates with Puppet's own parser, and loads nothing of the tree that they are in."""
