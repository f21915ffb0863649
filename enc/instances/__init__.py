"""The life of an instance: created, signed, built, rebuilt, moved, gone. docs/instances.md tells it whole."""
