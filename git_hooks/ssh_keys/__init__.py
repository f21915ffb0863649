"""ssh keys of people: what stands in LDAP of them, and whose a key is."""
