"""The LDAP schemas that the toolkit ships: definitions, files, and their way into a server."""
