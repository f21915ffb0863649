# @summary A directory that is removed again only if nothing is left in it.
#
# @param ensure
#   `present`: it exists, with this owner and mode; `absent`: it is removed if it is empty.
# @param path
#   The directory.
# @param owner
#   Its owner.
# @param group
#   Its group.
# @param mode
#   Its mode.
#
# @api private
define puppetmaster::directory (
  Puppetmaster::Ensure $ensure = 'present',
  Puppetmaster::Path   $path   = $title,
  String[1]            $owner  = 'root',
  String[1]            $group  = 'root',
  String[1]            $mode   = '0755',
) {
  puppetmaster::assert_private($caller_module_name)

  if $ensure == 'present' {
    file { $path:
      ensure => directory,
      owner  => $owner,
      group  => $group,
      mode   => $mode,
    }
  } else {
    exec { "remove ${path} if it is empty":
      command => ['/bin/rmdir', '--', $path],
      onlyif  => [['/bin/sh', '-c', file('puppetmaster/is-empty.sh'), 'sh', $path]],
    }
  }
}
