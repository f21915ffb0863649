# @summary A group's name that needs no quotes in sudoers, sssd.conf and a shell.
type Puppetmaster::Posix_name = Pattern[/\A[a-z_][a-z0-9_.-]*\z/]
