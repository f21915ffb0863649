"""The classifier: node data in LDAP becomes what Puppet asks for."""
