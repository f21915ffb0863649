"""The machine: its programs, files and puppet.conf, and what of them is kept."""
