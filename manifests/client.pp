# @summary An agent that uses a master other than the central one, with separate certificates for it.
#
# The agent's certificates for the central master are not touched. The other master is asked to sign the agent's present
# key, which LDAP assigns to this instance (docs/signing.md). The agent's settings are changed only when the other
# master has signed and would give this machine a catalog; until then, and if that fails, the agent stays where it is.
# The next run uses the other master, so its catalogs must have this class too (both masters read the same LDAP).
#
# A timer watches: if the other master has not served this machine for `give_up_after`, or its catalog lacks this class,
# the agent goes back to the central master.
#
# On the other master itself, the class does nothing.
#
# @example In LDAP, as `puppetmaster-self invite` writes it
#   enc-admin node set web-2.example.org --class puppetmaster::client \
#     --parameter 'puppetmaster::client::server="web-1.example.org"' \
#     --parameter 'puppetmaster::client::ca_certificate="-----BEGIN CERTIFICATE-----\n…"' --reason '…'
#
# @param puppet
#   The program `puppet`.
# @param ruby
#   The program `ruby` with which Puppet runs.
# @param server
#   The other master.
# @param ca_certificate
#   The certificates of its authority (PEM), so that nothing is trusted on first use.
# @param ensure
#   `absent`: the agent's settings are restored, and the other certificates are removed.
# @param port
#   The other master's port.
# @param certname
#   This machine's certname.
# @param csr_attributes
#   What the request contains besides the name (custom_attributes, extension_requests), for the other master's signing
#   policy. undef: project, region, role and instance id from the agent's present certificate.
# @param give_up_after
#   Seconds for which the other master may not serve this machine before the
#   agent goes back.
class puppetmaster::client (
  Puppetmaster::Path               $puppet,
  Puppetmaster::Path               $ruby,
  Puppetmaster::Certname           $server,
  Puppetmaster::Ensure             $ensure         = 'present',
  Optional[Pattern[/\A(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*)+\z/]] $ca_certificate = undef,
  Integer[1, 65535]                $port           = 8140,
  Puppetmaster::Certname           $certname       = $trusted['certname'],
  Optional[Sensitive[Hash[Enum['custom_attributes', 'extension_requests'], Hash[String[1], String[1]]]]] $csr_attributes = undef,
  Integer[10]                      $give_up_after  = 900,
) {
  $masters = '/var/lib/puppetmaster/masters'
  $units = ['puppetmaster-client-watch.service', 'puppetmaster-client-watch.timer']
  # Another authority, another place: nothing of one is ever shown to the other.
  $authority = if $ca_certificate { sha256($ca_certificate)[0, 12] }
  $place = "${masters}/${server}-${authority}"
  $ssldir = "${place}/ssl"
  $settings = {
    'agent/server'      => $server,
    'agent/serverport'  => $port,
    'agent/server_list' => '',
    'agent/ca_server'   => $server,
    'agent/ca_port'     => $port,
    'agent/ssldir'      => $ssldir,
  }

  if $server == $certname {
    notice("${server} cannot be a client of itself")
  } elsif $ensure == 'present' {
    if !$ca_certificate {
      fail("puppetmaster::client: ca_certificate must hold the certificates of ${server}'s authority")
    }
    include puppetmaster::state

    $present_certificate = ($trusted['extensions'] ? { Hash => $trusted['extensions'], default => {} }).filter |$name, $_| {
      $name in ['pp_project', 'pp_region', 'pp_role', 'pp_instance_id']
    }
    $attributes = if $csr_attributes { $csr_attributes.unwrap } else { { 'extension_requests' => $present_certificate } }
    $attributes_file = "${place}/csr_attributes.yaml"
    $key = "${ssldir}/private_keys/${certname}.pem"

    exec { 'this machine must not be its own master':
      command => ['/bin/sh', '-c', 'echo "this instance is its own master; run puppetmaster-self disable first" >&2; exit 1'],
      onlyif  => [['/usr/bin/test', '-e', '/var/lib/puppetmaster/self/transaction/journal.jsonl']],
    }
    -> puppetmaster::directory { [$masters, $place]:
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
      ensure    => file,
      mode      => '0600',
      show_diff => false,
      content   => Sensitive(puppetmaster::as_yaml($attributes)),
    }
    -> exec { "a copy of the agent's key for ${server}":
      command => ['/bin/sh', '-c', file('puppetmaster/own-key.sh'), 'sh', $puppet, $key],
      creates => $key,
    }
    # Settings on the command line win over those of puppet.conf, which are still the central master's.
    -> exec { "a certificate from ${server}":
      command => [
        $puppet, 'ssl', 'bootstrap', '--waitforcert', '0', '--http_keepalive_timeout', '0',
        '--server', $server, '--serverport', String($port), '--ca_server', $server, '--ca_port', String($port),
        '--server_list=',
        '--certname', $certname, '--ssldir', $ssldir, '--csr_attributes', $attributes_file,
      ],
      creates => "${ssldir}/certs/${certname}.pem",
      timeout => 120,
    }

    # The way back stands before the way there.
    $back = "${masters}/environments/back/modules/puppetmaster"
    $own = module_directory('puppetmaster')
    file {
      default:
        ensure  => directory,
        require => Puppetmaster::Directory[$masters],
        before  => Service[$units[1]],
        ;
      ["${masters}/environments", "${masters}/environments/back", "${masters}/environments/back/modules", $back]:
        ;
      ["${back}/lib", "${back}/lib/puppet", "${back}/lib/puppet/type", "${back}/lib/puppet/provider"]:
        ;
      "${back}/lib/puppet/provider/puppetmaster_setting":
        ;
      "${back}/lib/puppet/type/puppetmaster_setting.rb":
        ensure  => file,
        content => file("${own}/lib/puppet/type/puppetmaster_setting.rb"),
        ;
      "${back}/lib/puppet/provider/puppetmaster_setting/ruby.rb":
        ensure  => file,
        content => file("${own}/lib/puppet/provider/puppetmaster_setting/ruby.rb"),
        ;
      "${masters}/back.pp":
        ensure  => file,
        content => epp('puppetmaster/client-back.pp.epp', { 'settings' => $settings.keys }),
        ;
      "${masters}/client-watch.rb":
        ensure  => file,
        content => file('puppetmaster/client-watch.rb'),
        ;
      "${masters}/watch.yaml":
        ensure  => file,
        content => puppetmaster::as_yaml({
            'server'        => $server,
            'port'          => $port,
            'certname'      => $certname,
            'ssldir'        => $ssldir,
            'puppet'        => $puppet,
            'give_up_after' => $give_up_after,
            'settings'      => Hash($settings.map |$setting, $value| { [$setting, String($value)] }),
        }),
    }
    file {
      default:
        ensure => file,
        mode   => '0644',
        ;
      "/etc/systemd/system/${units[0]}":
        content => epp('puppetmaster/client-watch.service.epp', { 'ruby' => $ruby, 'place' => $masters }),
        ;
      "/etc/systemd/system/${units[1]}":
        content => epp('puppetmaster/client-watch.timer.epp', { 'interval' => max($give_up_after / 10, 5) }),
    }
    ~> exec { "systemd reads ${units[1]}":
      command     => ['/bin/systemctl', 'daemon-reload'],
      refreshonly => true,
    }
    -> service { $units[1]:
      ensure => running,
      enable => true,
    }

    $asked = [$ruby, "${masters}/client-watch.rb", "${masters}/watch.yaml", 'serves']
    Exec["a certificate from ${server}"]
    -> Service[$units[1]]
    -> exec { "${server} must serve this machine":
      command => $asked,
      unless  => [$asked],
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
    -> service { $units[1]:
      ensure => stopped,
      enable => false,
    }
    -> file { $units.map |$unit| { "/etc/systemd/system/${unit}" }:
      ensure => absent,
    }
    ~> exec { "systemd reads ${units[1]}":
      command     => ['/bin/systemctl', 'daemon-reload'],
      refreshonly => true,
    }
    -> exec { "remove ${masters}":
      command => ['/bin/rm', '-rf', '--', $masters],
      onlyif  => [['/usr/bin/test', '-d', $masters]],
      before  => Class['puppetmaster::gone'],
    }
  }
}
