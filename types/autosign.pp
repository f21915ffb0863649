# @summary Whether requests are signed: all, none, or as a policy program says.
type Puppetmaster::Autosign = Variant[Boolean, Puppetmaster::Path]
