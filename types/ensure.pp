# @summary Here, or as if it had never been here.
type Puppetmaster::Ensure = Enum['present', 'absent']
