# @summary puppetserver's account becomes a member of a group of ours, for what it shares with accounts of ours.
#
# It is this way round because the group `puppet` reads the authority's key and
# every private key below puppetserver's ssldir: none of our accounts is in it.
# What needs that puppetserver itself reads by the group requires
# `Class['puppetmaster::joined']`.
#
# @param group
#   The group's name.
#
# @api private
define puppetmaster::readers (
  Pattern[/\A[a-z][a-z-]*\z/] $group = $title,
) {
  puppetmaster::assert_private($caller_module_name)

  include puppetmaster::joined

  # Not the type `user`: the account is its package's, and other modules may declare it.
  exec { "puppet is in ${group}":
    command => ['/usr/sbin/usermod', '--append', '--groups', $group, 'puppet'],
    unless  => [['/bin/sh', '-c', file('puppetmaster/in-group.sh'), 'sh', 'puppet', $group]],
    path    => ['/usr/bin', '/bin'],
    require => [Group[$group], Class['puppetmaster::install']],
  }
}
