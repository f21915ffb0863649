# @summary Lets dpkg finish work in which it was killed; until then, apt refuses everything.
#
# @api private
class puppetmaster::dpkg {
  puppetmaster::assert_private($caller_module_name)

  if $facts['os']['family'] == 'Debian' {
    exec { 'dpkg finishes what it was killed in':
      command     => ['/usr/bin/dpkg', '--force-confdef', '--force-confold', '--configure', '-a'],
      environment => ['DEBIAN_FRONTEND=noninteractive'],
      # As apt judges it.
      onlyif      => [['/bin/sh', '-c', 'ls /var/lib/dpkg/updates | grep -q "^[0-9]*$"']],
      timeout     => 900,
    }
  }
}
