"""The follower: keeps answers on disk equal to LDAP, and the readers of these answers."""
