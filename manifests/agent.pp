# @summary An agent that uses another compile server of the same site: the one of its trust domain.
#
# One authority signs for all compile servers, so certificates and keys stay as they are; `puppetmaster::client` is for
# a master with its own authority. The settings change only when the other server would give this machine a catalog;
# until then the run fails, and the agent stays where it is. Both servers read the same LDAP, so the other one's catalog
# has this class too.
#
# @example In LDAP, for a node that was there before the domains were parted
#   enc-admin node set web-2.example.org --class puppetmaster::agent \
#     --parameter 'puppetmaster::agent::server="projects.example.org"' \
#     --parameter 'puppetmaster::agent::ca_server="puppet.example.org"' --reason '…'
#
# @param puppet
#   The program `puppet`.
# @param ruby
#   The program `ruby` with which Puppet runs.
# @param server
#   The compile server.
# @param ca_server
#   The site's authority.
# @param ensure
#   `absent`: the agent's settings are restored.
# @param port
#   The compile server's port.
# @param ca_port
#   The authority's port.
# @param certname
#   This machine's certname.
class puppetmaster::agent (
  Puppetmaster::Path     $puppet,
  Puppetmaster::Path     $ruby,
  Puppetmaster::Certname $server,
  Puppetmaster::Certname $ca_server,
  Puppetmaster::Ensure   $ensure   = 'present',
  Integer[1, 65535]      $port     = 8140,
  Integer[1, 65535]      $ca_port  = 8140,
  Puppetmaster::Certname $certname = $trusted['certname'],
) {
  $settings = {
    'agent/server'      => $server,
    'agent/serverport'  => $port,
    'agent/server_list' => '',
    'agent/ca_server'   => $ca_server,
    'agent/ca_port'     => $ca_port,
  }
  if $ensure == 'present' {
    include puppetmaster::state

    $asked = [
      '/bin/sh', '-c', file('puppetmaster/served.sh'), 'sh',
      $puppet, $ruby, file('puppetmaster/client-watch.rb'), $server, String($port), $certname,
    ]
    exec { "${server} must serve this machine":
      command => $asked,
      unless  => [$asked],
      require => Class['puppetmaster::state'],
    }
    $settings.each |$setting, $value| {
      puppetmaster_setting { $setting:
        value   => String($value),
        require => Exec["${server} must serve this machine"],
      }
    }
  } else {
    include puppetmaster::gone

    $settings.each |$setting, $value| {
      puppetmaster_setting { $setting:
        ensure => absent,
      }
    }
  }
}
