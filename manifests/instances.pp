# @summary Instances on a central master: the policy signs their certificates, and their runs are recorded.
#
# Include `puppetmaster` (with `autosign`) and `puppetmaster::toolkit`, or set their parameters in Hiera.
#
# @example On the one master that signs and revokes
#   class { 'puppetmaster::instances':
#     signer_secret => Sensitive('...'),
#     writer_secret => Sensitive('...'),
#   }
#
# @param ensure
#   `absent` removes units, secrets and the records of instances' runs. The journal of signing, unfinished operations
#   and the audit trail stay, because they are nowhere else.
# @param collect
#   Whether this master's reports are read to record which instances are built.
# @param reconcile
#   Whether interrupted operations are finished, and LDAP, authorities and answers compared, every ten minutes. Only one
#   master should do this.
# @param signer_secret
#   The signing account's password; it is written to /etc/puppetmaster/signer.secret, for puppetserver's account and the
#   collector's.
# @param writer_secret
#   The writing account's password; it is written to /etc/puppetmaster/writer.secret, for root only.
# @param signing
#   The directory of the signing policy's journal (`signing.journal`).
# @param runs
#   The directory with the results of the instances' last runs (`instances.runs`).
class puppetmaster::instances (
  Puppetmaster::Ensure           $ensure        = 'present',
  Boolean                        $collect       = true,
  Boolean                        $reconcile     = true,
  Optional[Sensitive[String[1]]] $signer_secret = undef,
  Optional[Sensitive[String[1]]] $writer_secret = undef,
  Puppetmaster::Path             $signing       = '/var/lib/puppetmaster/signing',
  Puppetmaster::Path             $runs          = '/var/lib/puppetmaster/instances/runs',
) {
  include puppetmaster::toolkit

  $config_directory = $puppetmaster::toolkit::config_directory
  $signers = $puppetmaster::toolkit::signers
  $account = 'puppetmaster-collect'
  $secrets = {
    'signer' => [$signer_secret, $signers, '0640'],
    'writer' => [$writer_secret, 'root', '0600'],
  }.filter |$name, $secret| { $secret[0] =~ NotUndef }
  $files = $secrets.keys.map |$name| { "${config_directory}/${name}.secret" }
  $collector = 'puppetmaster-collect.service'
  $reconciler = 'puppetmaster-instances.service'
  $timer = 'puppetmaster-instances.timer'

  if $ensure == 'present' {
    include puppetmaster
    include puppetmaster::enc
    include puppetmaster::state

    group { $signers:
      ensure => present,
      system => true,
    }
    -> puppetmaster::readers { $signers: }
    -> user { $account:
      ensure  => present,
      comment => 'puppetmaster-toolkit, reports',
      home    => '/var/lib/puppetmaster/instances',
      shell   => '/usr/sbin/nologin',
      groups  => [$signers],
      system  => true,
      require => Class['puppetmaster::state'],
    }
    # The policy program runs as puppetserver.
    puppetmaster::directory { $signing:
      owner   => 'puppet',
      group   => 'puppet',
      mode    => '0750',
      require => [Class['puppetmaster::install'], Class['puppetmaster::state']],
      before  => Class['puppetmaster::service'],
    }
    $secrets.each |$name, $secret| {
      file { "${config_directory}/${name}.secret":
        ensure    => file,
        owner     => 'root',
        group     => $secret[1],
        mode      => $secret[2],
        content   => $secret[0],
        show_diff => false,
        require   => [Puppetmaster::Directory[$config_directory], Class['puppetmaster::joined']],
        before    => Class['puppetmaster::service'],
      }
    }
    # Where nothing is signed, puppetserver needs it not; who notes what is built does.
    if !$puppetmaster::ca {
      File <| title == "${config_directory}/signer.secret" |> {
        owner => $account,
        group => 'root',
        mode  => '0400',
      }
    }
    $collected = if $collect { 'present' } else { 'absent' }
    $reconciled = if $reconcile { 'present' } else { 'absent' }
    puppetmaster::unit {
      default:
        writer  => ["${puppetmaster::toolkit::commands}/enc-admin", 'config', 'units'],
        require => [
          Class['puppetmaster::toolkit'],
          User['puppetmaster', $account],
        ] + $files.map |$file| { File[$file] },
        ;
      $collector:
        ensure => $collected,
        ;
      $reconciler:
        ensure  => $reconciled,
        started => false,
        ;
      $timer:
        ensure => $reconciled,
        ;
    }
    Puppetmaster::Unit[$reconciler] -> Puppetmaster::Unit[$timer]
    if $collect {
      File <| title == "${config_directory}/config.yaml" |> ~> Service[$collector]
      Exec <| tag == 'puppetmaster_programs' |> ~> Service[$collector]
    }
  } else {
    include puppetmaster::gone

    puppetmaster::unit { [$collector, $timer]:
      ensure => absent,
    }
    -> puppetmaster::unit { $reconciler:
      ensure => absent,
    }
    # Read from the reports, and read again from them.
    # By rm and not by Puppet, which goes by paths: an account could lead it elsewhere.
    -> exec { "remove ${runs}":
      command => ['/bin/rm', '-rf', '--', $runs],
      onlyif  => [['/usr/bin/test', '-e', $runs]],
    }
    # Where nothing was ever noted, nothing is kept.
    -> puppetmaster::directory { ['/var/lib/puppetmaster/instances/journal', '/var/lib/puppetmaster/audit']:
      ensure => absent,
    }
    -> puppetmaster::directory { '/var/lib/puppetmaster/instances':
      ensure => absent,
    }
    file { $files:
      ensure  => absent,
      require => Puppetmaster::Unit[$reconciler],
      before  => Puppetmaster::Directory[$config_directory],
    }
    puppetmaster::directory { $signing:
      ensure => absent,
    }
    user { $account:
      ensure  => absent,
      require => Puppetmaster::Unit[$collector],
    }
    -> group { $signers:
      ensure  => absent,
      require => File[$files],
    }
  }
}
