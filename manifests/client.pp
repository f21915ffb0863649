# @summary The agent of another master than the central one, with certificates of their own for it.
#
# The agent's certificates towards the central master are not touched. Only
# when the other master has signed this machine's request are the agent's
# settings changed; until then, and if that fails, the agent stays where it is.
# The next run asks the other master, so its catalogs must have this class, too
# (both masters read the same LDAP).
#
# @example
#   class { 'puppetmaster::client':
#     server         => 'web-1.example.org',
#     ca_certificate => file('/etc/puppetmaster/masters/web-1.example.org.pem'),
#   }
#
# @param puppet
#   The program `puppet`.
# @param server
#   The other master.
# @param ca_certificate
#   The certificates of its authority (PEM), so that nothing is trusted on first use.
# @param ensure
#   `absent`: the agent's settings are as they were, and the other certificates are gone.
# @param port
#   The other master's port.
# @param certname
#   This machine's certname.
# @param csr_attributes
#   What the request says beside the name (custom_attributes, extension_requests),
#   for the other master's signing policy.
class puppetmaster::client (
  Puppetmaster::Path               $puppet,
  Puppetmaster::Certname           $server,
  Puppetmaster::Ensure             $ensure         = 'present',
  Optional[Pattern[/\A(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*)+\z/]] $ca_certificate = undef,
  Integer[1, 65535]                $port           = 8140,
  Puppetmaster::Certname           $certname       = $trusted['certname'],
  Optional[Sensitive[Hash[Enum['custom_attributes', 'extension_requests'], Hash[String[1], String[1]]]]] $csr_attributes = undef,
) {
  $masters = '/var/lib/puppetmaster/masters'
  $place = "${masters}/${server}"
  $ssldir = "${place}/ssl"
  $attributes_file = "${place}/csr_attributes.yaml"
  $settings = {
    'agent/server'     => $server,
    'agent/serverport' => $port,
    'agent/ca_server'  => $server,
    'agent/ca_port'    => $port,
    'agent/ssldir'     => $ssldir,
  }

  if $ensure == 'present' {
    if !$ca_certificate {
      fail("puppetmaster::client: ca_certificate must hold the certificates of ${server}'s authority")
    }
    include puppetmaster::state

    puppetmaster::directory { [$masters, $place]:
      require => Class['puppetmaster::state'],
    }
    -> file {
      default:
        ensure => directory,
        ;
      $ssldir:
        mode => '0771',
        ;
      "${ssldir}/certs":
        ;
      "${ssldir}/certs/ca.pem":
        ensure  => file,
        mode    => '0644',
        content => $ca_certificate,
        # The authority may renew its certificate; the agent fetches that by itself.
        replace => false,
        ;
    }
    -> file { $attributes_file:
      ensure    => if $csr_attributes { 'file' } else { 'absent' },
      mode      => '0600',
      show_diff => false,
      content   => if $csr_attributes { Sensitive(puppetmaster::as_yaml($csr_attributes.unwrap)) },
    }
    # Settings on the command line win over those of puppet.conf, which are still the central master's.
    -> exec { "a certificate from ${server}":
      command => [
        $puppet, 'ssl', 'bootstrap', '--waitforcert', '0', '--http_keepalive_timeout', '0',
        '--server', $server, '--serverport', $port, '--ca_server', $server, '--ca_port', $port,
        '--certname', $certname, '--ssldir', $ssldir, '--csr_attributes', $attributes_file,
      ],
      creates => "${ssldir}/certs/${certname}.pem",
      timeout => 120,
    }
    -> Puppetmaster_setting[$settings.keys]

    $settings.each |$setting, $value| {
      puppetmaster_setting { $setting:
        value => String($value),
      }
    }
  } else {
    include puppetmaster::gone

    $settings.each |$setting, $value| {
      puppetmaster_setting { $setting:
        ensure => absent,
      }
    }
    # The settings first: the agent would make itself a new key where it finds none.
    Puppetmaster_setting[$settings.keys]
    -> exec { "remove ${place}":
      command => ['/bin/rm', '-rf', '--', $place],
      onlyif  => [['/usr/bin/test', '-d', $place]],
    }
    -> puppetmaster::directory { $masters:
      ensure => absent,
    }
  }
}
