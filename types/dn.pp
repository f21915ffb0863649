# @summary A name in LDAP, in a line of sssd.conf; no question mark, which would end it in a search base.
type Puppetmaster::Dn = Pattern[/\A[A-Za-z][A-Za-z0-9.-]*=[^?[:cntrl:]]*[^?\s[:cntrl:]]\z/]
