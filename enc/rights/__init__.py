"""Who may do what: the table of roles, and names that are not everybody's. Pure."""
