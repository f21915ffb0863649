# @summary What pip may install as the toolkit: a path, an address with its checksum, or a git repository at a commit.
#
# Never a bare name, which an index would decide about.
type Puppetmaster::Source = Variant[
  Puppetmaster::Path,
  Pattern[
    /\A(file|https):\/\/[A-Za-z0-9_.:\/@+,-]+#sha256=[0-9a-f]{64}\z/,
    /\Agit\+(https|ssh|file):\/\/[A-Za-z0-9_.:\/@+,-]+@[0-9a-f]{40}\z/
  ]
]
