# @summary The certificate authority as a separate puppetserver process on this machine, with its own account.
#
# The puppetserver that compiles catalogs then has no key of the authority. If it was the authority until now, its keys
# and serial numbers are taken over while puppetserver is stopped, and puppetserver gets a new key and a certificate
# that may not give orders to the authority. With `ensure => absent` the authority goes back to puppetserver
# (docs/trust-domains.md has the steps).
#
# Only for Debian's packages, whose code belongs to root. puppetserver from Puppet and OpenVox loads gems and jars from
# its own vardir (`/opt/puppetlabs/server/data/puppetserver`), which belongs to the account `puppet`, so an authority on
# the same machine would run what the compiling puppetserver puts there. With these packages, give the authority its own
# machine.
#
# @example The class `puppetmaster` of the compile server on the same machine names it
#   class { 'puppetmaster':
#     ca        => false,
#     ca_server => 'ca.example.org',
#     ca_port   => 8141,
#   }
#   class { 'puppetmaster::authority':
#     certname => 'ca.example.org',
#   }
#
# @param certname
#   The name in the authority's certificate, which must differ from the machine's.
# @param ensure
#   `absent`: its process and account are removed, and puppetserver is the authority again.
# @param dns_alt_names
#   Other names under which clients reach it.
# @param listen_address
#   Where it listens.
# @param port
#   Its port.
# @param heap
#   The JVM's heap.
# @param java_args
#   More arguments for the JVM.
# @param ssl_protocols
#   TLS versions, as for `puppetmaster`.
# @param autosign
#   Whether requests are signed: a policy program, or all, or none.
# @param ca_clients
#   Certnames that may sign, revoke and clean certificates and delete requests. Never a compile server's.
# @param config
#   The toolkit's configuration for the policy program, in a separate file: `directory`, `signing`.
# @param signer_secret
#   The signing account's password; it is written to /etc/puppetmaster-authority/signer.secret, for this account only.
class puppetmaster::authority (
  Puppetmaster::Certname               $certname,
  Puppetmaster::Ensure                 $ensure         = 'present',
  Array[Puppetmaster::Certname]        $dns_alt_names  = [],
  Pattern[/\A[0-9A-Fa-f.:]+\z/]        $listen_address = '0.0.0.0',
  Integer[1, 65535]                    $port           = 8141,
  Puppetmaster::Heap                   $heap           = '512m',
  Array[Puppetmaster::Word]            $java_args      = [],
  Array[Enum['TLSv1.2', 'TLSv1.3'], 1] $ssl_protocols  = ['TLSv1.2'],
  Puppetmaster::Autosign               $autosign       = false,
  Array[Puppetmaster::Certname]        $ca_clients     = [],
  Optional[Hash[String[1], Hash[String[1], Data]]] $config = undef,
  Optional[Sensitive[String[1]]]       $signer_secret  = undef,
) {
  include puppetmaster

  $account = 'puppet-ca'
  $place = '/etc/puppetmaster-authority'
  $state = '/var/lib/puppetmaster-authority'
  $unit = 'puppetmaster-authority.service'
  $served = "${puppetmaster::server_confdir}/ca"
  $move = ['/bin/sh', '-c', file('puppetmaster/move-authority.sh'), 'sh']

  if $ensure == 'present' {
    if $facts['puppetmaster_layout'] != 'debian' {
      fail("puppetmaster::authority: works with Debian's packages only; others load code from directories of puppetserver's own account, so give the authority a machine of its own (docs/trust-domains.md)")
    }
    if $puppetmaster::ca {
      fail('puppetmaster::authority: puppetserver itself must not be an authority; set ca => false, ca_server and ca_port of the class puppetmaster')
    }
    if $certname == $puppetmaster::own_name {
      fail("puppetmaster::authority: ${certname} is the compile server's name; the authority needs another name")
    }

    user { $account:
      ensure  => present,
      comment => 'puppetmaster-toolkit, certificate authority',
      home    => $state,
      shell   => '/usr/sbin/nologin',
      system  => true,
      require => Class['puppetmaster::install'],
    }
    -> file {
      default:
        ensure => directory,
        owner  => $account,
        group  => $account,
        mode   => '0750',
        ;
      [$state, "${state}/var", "${state}/log", "${state}/code", "${state}/code/environments", "${state}/signing"]:
        ;
      "${state}/code/environments/production":
    }
    -> exec { 'the authority goes to its own account':
      command => $move + [$served, "${state}/ca", $account, $puppetmaster::service_name],
      onlyif  => [['/usr/bin/test', '-e', "${served}/ca_key.pem"]],
      path    => ['/usr/bin', '/bin'],
    }
    -> file {
      default:
        ensure => directory,
        ;
      [$place, "${place}/conf.d", "${place}/services.d"]:
        ;
      "${place}/puppet.conf":
        ensure  => file,
        content => epp('puppetmaster/authority/puppet.conf.epp', {
            'certname'      => $certname,
            'dns_alt_names' => $dns_alt_names,
            'port'          => $port,
            'autosign'      => $autosign,
            'state'         => $state,
        }),
        ;
      "${place}/services.d/bootstrap.cfg":
        ensure  => file,
        content => epp('puppetmaster/authority/bootstrap.cfg.epp'),
        ;
      "${place}/conf.d/authority.conf":
        ensure  => file,
        content => epp('puppetmaster/authority/authority.conf.epp', {
            'place'          => $place,
            'state'          => $state,
            'certname'       => $certname,
            'listen_address' => $listen_address,
            'port'           => $port,
            'ssl_protocols'  => $ssl_protocols,
            # A compile server asks for its certificate with other names; a person signs that.
            'names'          => $autosign != true,
        }),
        ;
      "${place}/conf.d/auth.conf":
        ensure  => file,
        content => epp('puppetmaster/auth.conf.epp', {
            'flush_clients'   => [],
            'catalog_clients' => [],
            'ca_clients'      => $ca_clients,
            'status_clients'  => [],
            'file_bucket'     => false,
            'compiles'        => false,
        }),
        ;
      "${place}/logback.xml":
        ensure  => file,
        content => epp('puppetmaster/authority/logback.xml.epp', { 'state' => $state }),
    }
    ~> service { $unit:
      ensure => running,
      enable => true,
    }
    if $config {
      file { "${place}/config.yaml":
        ensure  => file,
        content => puppetmaster::as_yaml($config),
        require => File[$place],
        before  => Service[$unit],
      }
    }
    if $signer_secret {
      file { "${place}/signer.secret":
        ensure    => file,
        owner     => $account,
        group     => 'root',
        mode      => '0400',
        content   => $signer_secret,
        show_diff => false,
        require   => File[$place],
        before    => Service[$unit],
      }
    }
    file { "/etc/systemd/system/${unit}":
      ensure  => file,
      content => epp('puppetmaster/authority/authority.service.epp', {
          'account'   => $account,
          'place'     => $place,
          'state'     => $state,
          'java_args' => join(["-Xms${heap}", "-Xmx${heap}"] + $java_args, ' '),
      }),
      require => File["${place}/puppet.conf"],
      notify  => Service[$unit],
    }
    ~> exec { "systemd reads ${unit}":
      command     => ['/bin/systemctl', 'daemon-reload'],
      refreshonly => true,
      before      => Service[$unit],
    }

    # The certificate that puppetserver had as an authority commands this one.
    $certificate = ['/bin/sh', '-c', file('puppetmaster/compile-certificate.sh'), 'sh',
      $puppetmaster::own_name, $certname, String($port), "${place}/puppet.conf", join($puppetmaster::dns_alt_names, ',')]
    exec { "a certificate for ${puppetmaster::own_name} that commands nothing":
      command => $certificate + ['make'],
      unless  => [$certificate],
      path    => ['/usr/bin', '/bin'],
      timeout => 300,
      require => [Service[$unit], Puppetmaster_setting['main/ca_server', 'main/ca_port']],
      notify  => Class['puppetmaster::service'],
    }
  } else {
    service { $unit:
      ensure => stopped,
      enable => false,
    }
    -> file { "/etc/systemd/system/${unit}":
      ensure => absent,
    }
    ~> exec { "systemd reads ${unit}":
      command     => ['/bin/systemctl', 'daemon-reload'],
      refreshonly => true,
    }
    Service[$unit]
    -> exec { 'the authority goes back to puppetserver':
      command => $move + ["${state}/ca", $served, 'puppet', $puppetmaster::service_name],
      onlyif  => [['/usr/bin/test', '-e', "${state}/ca/ca_key.pem"]],
      path    => ['/usr/bin', '/bin'],
      require => Class['puppetmaster::install'],
      notify  => Class['puppetmaster::service'],
    }
    -> exec {
      default:
        ;
      "remove ${place}":
        command => ['/bin/rm', '-rf', '--', $place],
        onlyif  => [['/usr/bin/test', '-e', $place]],
        ;
      "remove ${state}":
        command => ['/bin/rm', '-rf', '--', $state],
        onlyif  => [['/usr/bin/test', '-e', $state]],
        ;
    }
    -> user { $account:
      ensure => absent,
    }
  }
}
