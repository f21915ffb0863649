# @summary A certname: what Puppet takes as the name of a certificate, in lower case.
type Puppetmaster::Certname = Pattern[/\A(?=.{1,253}\z)[a-z0-9]+([._-]+[a-z0-9]+)*\z/]
