"""The classification of a node: from records to classes, parameters and an environment. No LDAP, no files."""
