"""OpenStack: instances that Nova starts get their user data from us, and servers that are gone are seen."""
