# @summary A branch of git that needs no quoting anywhere.
type Puppetmaster::Branch = Pattern[/\A[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*\z/]
