# @summary The node classifier: LDAP has the classification of nodes, and puppetserver asks for it.
#
# Include `puppetmaster` and `puppetmaster::toolkit`, or set their parameters in Hiera.
#
# @example
#   class { 'puppetmaster::enc':
#     trusted_external => true,
#   }
#
# @param ensure
#   `absent` removes settings, unit, account and answers.
# @param follower
#   Whether answers are made ahead of time. If not, LDAP is asked for each catalog.
# @param trusted_external
#   Whether `$trusted['external']` has the node's project, region and role.
# @param answers
#   Where the answers are, as in the configuration file (`answers.directory`).
# @param reports
#   The processors of agents' reports. `puppetmaster` keeps the result of each instance's runs, for
#   `enc-admin instance collect`; `undef` leaves the setting to `puppetmaster::reports`.
# @param server_vardir
#   puppetserver's vardir (`server-var-dir`), where it finds that processor.
class puppetmaster::enc (
  Puppetmaster::Path   $server_vardir,
  Puppetmaster::Ensure $ensure           = 'present',
  Boolean              $follower         = true,
  Boolean              $trusted_external = true,
  Puppetmaster::Path   $answers          = '/var/lib/puppetmaster/answers',
  Optional[Array[Pattern[/\A\w+\z/], 1]] $reports = ['puppetmaster', 'store'],
) {
  include puppetmaster::toolkit

  $commands = $puppetmaster::toolkit::commands
  $config_file = "${puppetmaster::toolkit::config_directory}/config.yaml"
  $unit = 'puppetmaster-follow.service'
  $unit_writer = ["${commands}/enc-admin", 'config', 'units']
  $settings = {
    'server/node_terminus'            => 'exec',
    'server/external_nodes'           => "${commands}/enc",
    'server/trusted_external_command' => if $trusted_external { "${commands}/enc-trusted" },
  }
  $processor = "${server_vardir}/lib/puppet/reports/puppetmaster.rb"

  if $ensure == 'present' {
    include puppetmaster
    include puppetmaster::server_reads
    include puppetmaster::state

    $readers = $puppetmaster::toolkit::readers
    user { 'puppetmaster':
      ensure  => present,
      comment => 'puppetmaster-toolkit, follower',
      home    => '/var/lib/puppetmaster',
      shell   => '/usr/sbin/nologin',
      groups  => [$readers],
      system  => true,
      require => [Group[$readers], Class['puppetmaster::install'], Class['puppetmaster::state']],
    }
    puppetmaster::not_of_puppet { 'puppetmaster': }
    # One that somebody else put there, for the group of earlier versions.
    $give = ['/bin/sh', '-c', file('puppetmaster/give-group.sh'), 'sh',
      "${puppetmaster::toolkit::config_directory}/ldap.secret", 'puppet', $readers]
    exec { 'readers of LDAP read its password':
      command => $give + ['change'],
      unless  => [$give],
      path    => ['/usr/bin', '/bin'],
      require => Class['puppetmaster::joined', 'puppetmaster::toolkit'],
    }
    # Members' code may have puppetserver's account there.
    if $puppetmaster::toolkit::serves == 'projects' {
      File <| title == "${puppetmaster::toolkit::config_directory}/ldap.secret" |> {
        owner => 'puppetmaster',
        group => 'root',
        mode  => '0400',
      }
    }
    # By this link the shell program `enc` finds the answers without reading YAML.
    file { "${config_file}.answers":
      ensure  => link,
      target  => $answers,
      require => Class['puppetmaster::toolkit'],
    }

    $follow = if $follower { 'present' } else { 'absent' }
    puppetmaster::unit { $unit:
      ensure  => $follow,
      writer  => $unit_writer,
      require => [
        Exec['readers of LDAP read its password'],
        Puppetmaster::Not_of_puppet['puppetmaster'],
        Class['puppetmaster::toolkit'],
      ],
      before  => Class['puppetmaster::service'],
    }
    if $follower {
      File <| title == $config_file |> ~> Service[$unit]
      Exec <| tag == 'puppetmaster_programs' |> ~> Service[$unit]
      Puppetmaster::Not_of_puppet['puppetmaster'] ~> Service[$unit]
    }

    # Below libdir, whatever modules an environment has.
    exec { "make the directory of ${processor}":
      command => ['/bin/mkdir', '-p', '--', "${server_vardir}/lib/puppet/reports"],
      creates => "${server_vardir}/lib/puppet/reports",
      require => Class['puppetmaster::install'],
    }
    -> file { $processor:
      ensure  => file,
      mode    => '0644',
      content => file("${module_directory('puppetmaster')}/lib/puppet/reports/puppetmaster.rb"),
      tag     => 'puppetmaster_server',
    }

    $settings.each |$setting, $value| {
      if $value {
        puppetmaster_setting { $setting:
          value   => $value,
          tag     => 'puppetmaster_server',
          require => Class['puppetmaster::toolkit'],
        }
      } else {
        puppetmaster_setting { $setting:
          ensure => absent,
          tag    => 'puppetmaster_server',
        }
      }
    }
    if $reports {
      # The setting is puppetmaster's, declared before or after this class.
      Puppetmaster_setting <| title == 'server/reports' |> {
        value   => join($reports, ', '),
        require => Class['puppetmaster::toolkit'],
      }
    }
  } else {
    include puppetmaster::gone

    puppetmaster::unless_declared { 'server/reports': }

    $settings.each |$setting, $value| {
      puppetmaster_setting { $setting:
        ensure => absent,
        tag    => 'puppetmaster_server',
      }
    }
    $library = "${server_vardir}/lib"
    file { $processor:
      ensure => absent,
      tag    => 'puppetmaster_server',
    }
    -> puppetmaster::directory { "${library}/puppet/reports":
      ensure => absent,
    }
    -> puppetmaster::directory { "${library}/puppet":
      ensure => absent,
    }
    -> puppetmaster::directory { $library:
      ensure => absent,
    }
    puppetmaster::unit { $unit:
      ensure => absent,
      writer => $unit_writer,
    }
    -> user { 'puppetmaster':
      ensure => absent,
    }
    # Made from LDAP, and made again from it.
    # By rm and not by Puppet, which goes by paths: an account could lead it elsewhere.
    -> exec { "remove ${answers}":
      command => ['/bin/rm', '-rf', '--', $answers],
      onlyif  => [['/usr/bin/test', '-e', $answers]],
      before  => Class['puppetmaster::gone'],
    }
    file { "${config_file}.answers":
      ensure => absent,
      before => Class['puppetmaster::toolkit'],
    }
  }
}
