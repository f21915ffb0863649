# @summary An account of ours is not in the group `puppet`, which reads the authority's key. Earlier versions put it there.
#
# @param account
#   The account.
#
# @api private
define puppetmaster::not_of_puppet (
  Pattern[/\A[a-z][a-z-]*\z/] $account = $title,
) {
  puppetmaster::assert_private($caller_module_name)

  exec { "${account} is not in the group puppet":
    command => ['/usr/bin/gpasswd', '--delete', $account, 'puppet'],
    onlyif  => [['/bin/sh', '-c', file('puppetmaster/in-group.sh'), 'sh', $account, 'puppet']],
    path    => ['/usr/bin', '/bin'],
    require => User[$account],
  }
}
