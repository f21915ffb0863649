# @summary A filter in LDAP, in a line of sssd.conf; no question mark, which would end it in a search base.
type Puppetmaster::Ldap_filter = Pattern[/\A\([^?[:cntrl:]]+\)\z/]
