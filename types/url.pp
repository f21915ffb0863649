# @summary Where git fetches; without white space, quotes and other signs that a unit or a shell would read.
type Puppetmaster::Url = Pattern[/\A(https|ssh|file):\/\/[A-Za-z0-9][A-Za-z0-9._~:\/@+-]*\z/, /\Afile:\/\/(\/[A-Za-z0-9._+@-]+)+\z/]
