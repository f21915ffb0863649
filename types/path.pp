# @summary An absolute path that can stand in a unit, in puppet.conf and in HOCON without quotes.
type Puppetmaster::Path = Pattern[/\A(\/[A-Za-z0-9._+@-]+)+\z/]
