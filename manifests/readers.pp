# @summary puppetserver's account becomes a member of a group of ours, for what it shares with accounts of ours.
#
# It is this way round because the group `puppet` reads the authority's key and
# every private key below puppetserver's ssldir: none of our accounts is in it.
#
# @param group
#   The group's name.
#
# @api private
define puppetmaster::readers (
  Pattern[/\A[a-z][a-z-]*\z/] $group = $title,
) {
  puppetmaster::assert_private($caller_module_name)

  # Not the type `user`: the account is its package's, and other modules may declare it.
  $words = ['/bin/sh', '-c', file('puppetmaster/join-group.sh'), 'sh', 'puppet', $group, $puppetmaster::service_name]
  exec { "puppet is in ${group}":
    command => $words + ['change'],
    unless  => [$words],
    path    => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
    timeout => 600,
    require => [Group[$group], Class['puppetmaster::install']],
  }
}
