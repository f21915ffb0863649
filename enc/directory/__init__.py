"""Everything that speaks LDAP, and the embedded slapd."""
