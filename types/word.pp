# @summary One word on a command line: no white space, quotes, `$` or `%`.
type Puppetmaster::Word = Pattern[/\A[A-Za-z0-9_.:\/=@+,-]+\z/]
