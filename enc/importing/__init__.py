"""Bringing node data over from elsewhere: LDIF, Wikimedia's ENC git layout, a puppet.conf of the LDAP terminus.

`ldif.py`, `wikimedia.py` (its files: `yaml_files.py`) and `puppet_conf.py` each
read one form; what they read is untrusted. `entries.py` brings in LDIF entries,
`mirroring.py` plans what makes LDAP say what a tree says, `outcome.py` counts.
Every write goes through `enc.service`, one entry at a time: authorised,
recorded in the trail, and shown the same by a dry run. What cannot be used is a `Problem`
with file and line, and the rest goes on.
"""
