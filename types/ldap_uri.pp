# @summary An LDAP server, without a path.
type Puppetmaster::Ldap_uri = Pattern[/\Aldaps?:\/\/[A-Za-z0-9.-]+(:[0-9]{1,5})?\z/, /\Aldaps?:\/\/\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?\z/]
