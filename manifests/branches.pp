# @summary The branch manager: each branch of the repository becomes an environment, which is live when a push returns.
#
# Include `puppetmaster` and `puppetmaster::toolkit`, or set their parameters in Hiera.
#
# @example
#   class { 'puppetmaster::branches':
#     serve => true,
#   }
#
# @param ensure
#   `absent` removes hooks, units, settings, the account and the store. The repository stays, with everything that was
#   pushed to it.
# @param repository
#   The bare repository, as in the configuration file (`branches.repository`); created if it does not exist.
# @param store
#   Where versions of environments are kept (`branches.store`).
# @param tokens
#   Where tokens are kept (`branches.transport.tokens`).
# @param production_branch
#   The branch that becomes the environment production by `branches.rules`, and that a clone checks out.
# @param serve
#   Whether git is served over HTTP(S).
# @param manage_account
#   Whether this class creates and removes the account `git`; false if the account existed before.
# @param static_catalogs
#   Whether agents get files of the version that their catalog was compiled from (static catalogs).
# @param deploy
#   The directory with the certificate with which the account `git` flushes environments: CERTNAME.pem, CERTNAME.key and
#   the authority's ca.pem. If the authority is on this machine, it makes the certificate; otherwise put the files there
#   by hand.
class puppetmaster::branches (
  Puppetmaster::Ensure $ensure            = 'present',
  Puppetmaster::Path   $repository        = '/var/lib/puppetmaster/repository.git',
  Puppetmaster::Path   $store             = '/var/lib/puppetmaster/store',
  Puppetmaster::Path   $tokens            = '/var/lib/puppetmaster/tokens',
  String[1]            $production_branch = 'production',
  Boolean              $serve             = false,
  Boolean              $manage_account    = true,
  Boolean              $static_catalogs   = true,
  Puppetmaster::Path   $deploy            = '/etc/puppetmaster/deploy',
) {
  include puppetmaster::toolkit

  $commands = $puppetmaster::toolkit::commands
  $config_file = "${puppetmaster::toolkit::config_directory}/config.yaml"
  $manager = "${commands}/branch-manager"
  $units = ['puppetmaster-hooks.service', 'puppetmaster-serve.service']
  $unit_writer = [$manager, 'units']
  $server_confdir = lookup('puppetmaster::server_confdir')
  $environmentpath = lookup('puppetmaster::environmentpath')
  $versioned_code = "${server_confdir}/conf.d/versioned-code.conf"
  $owned_by = file('puppetmaster/owned-by.sh')
  $own_production = file('puppetmaster/own-production.sh')
  $in_the_way = file('puppetmaster/first-environment.sh')

  if $ensure == 'present' {
    include puppetmaster
    include puppetmaster::server_reads
    include puppetmaster::state

    $deploy_name = "${puppetmaster::own_name}-deploy"
    $given = $puppetmaster::toolkit::config
    $key = if $given { $given.dig('branches', 'puppetserver', 'key_file') }
    if $key =~ String and $key =~ /\/private_keys\// {
      # Until that is changed, everything stays as it is.
      fail("puppetmaster::branches: branches.puppetserver.key_file is ${key}, one of puppetserver's keys, which the account git may not read; set ca_file, certificate_file and key_file to ${deploy}/ca.pem, ${deploy_name}.pem and ${deploy_name}.key there (docs/module.md, \"Upgrading\")")
    }
    $readers = $puppetmaster::toolkit::readers
    $group = if $manage_account { 'git' } else { 'root' }
    if $manage_account {
      group { 'git':
        ensure => present,
        system => true,
      }
      # sshd starts git with this shell for people's keys; there is no password.
      user { 'git':
        ensure  => present,
        comment => 'puppetmaster-toolkit, repository',
        home    => '/var/lib/puppetmaster',
        shell   => '/bin/sh',
        gid     => 'git',
        groups  => [$readers],
        system  => true,
        require => [Group['git', $readers], Class['puppetmaster::install'], Class['puppetmaster::state']],
        before  => Puppetmaster::Directory[$repository, $store, $environmentpath, $tokens],
      }
      puppetmaster::not_of_puppet { 'git': }
      Puppetmaster::Not_of_puppet['git'] ~> Service[$units]
    } else {
      exec { 'git reads LDAP':
        command => ['/usr/sbin/usermod', '--append', '--groups', $readers, 'git'],
        unless  => [['/bin/sh', '-c', file('puppetmaster/in-group.sh'), 'sh', 'git', $readers]],
        path    => ['/usr/bin', '/bin'],
        require => Group[$readers],
        notify  => Service[$units],
      }
    }
    puppetmaster::directory {
      default:
        owner   => 'git',
        group   => $group,
        require => [Class['puppetmaster::install'], Class['puppetmaster::state']],
        ;
      # Who may read code is said by transport.read, and not by who has an account on this machine.
      $repository:
        mode => '0700',
        ;
      # puppetserver and the follower read these.
      [$store, $environmentpath]:
        group   => $readers,
        mode    => '0750',
        require => Class['puppetmaster::install', 'puppetmaster::state', 'puppetmaster::joined'],
        ;
      $tokens:
        mode => '0700',
        ;
    }
    # Root's, since root writes in it; the files are git's.
    -> puppetmaster::directory { $deploy:
      mode    => '0711',
      require => Class['puppetmaster::toolkit'],
    }
    -> exec { "make ${repository}":
      command => ['/usr/bin/git', 'init', '--quiet', '--bare', '-b', $production_branch, $repository],
      creates => "${repository}/HEAD",
      user    => 'git',
      require => Class['puppetmaster::toolkit'],
    }
    # One that stayed from before is root's.
    -> exec { "git owns ${repository}":
      command => ['/bin/sh', '-c', $owned_by, 'sh', $repository, 'git', $group, 'change'],
      unless  => [['/bin/sh', '-c', $owned_by, 'sh', $repository, 'git', $group]],
      path    => ['/usr/bin', '/bin'],
    }
    # By these links the programs for static catalogs find both without reading YAML.
    -> file {
      default:
        ensure => link,
        ;
      "${config_file}.store":
        target => $store,
        ;
      "${config_file}.environments":
        target => $environmentpath,
        ;
    }
    -> exec { "hooks in ${repository}":
      command => [$manager, 'init'],
      unless  => [[$manager, 'verify']],
      user    => 'git',
    }
    # puppetserver makes itself an empty production, or does not start; and here it may write nothing.
    -> exec { 'a production for puppetserver':
      command => ['/bin/sh', '-c', $own_production, 'sh', "${environmentpath}/production", 'make'],
      unless  => [['/bin/sh', '-c', $own_production, 'sh', "${environmentpath}/production"]],
      path    => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
    }
    # Puppet may have made one with directories in it; the branch manager replaces nothing of others.
    -> exec { 'production shows its branch':
      command => ['/bin/sh', '-c', file('puppetmaster/show-production.sh'), 'sh', $environmentpath, $manager],
      onlyif  => [['/bin/sh', '-c', $in_the_way, 'sh', $environmentpath, $repository, $production_branch]],
      path    => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
    }
    puppetmaster::unit {
      default:
        writer  => $unit_writer,
        require => Exec["hooks in ${repository}"],
        before  => Class['puppetmaster::service'],
        ;
      $units[0]:
        ;
      $units[1]:
        ensure => if $serve { 'present' } else { 'absent' },
        ;
    }
    File <| title == $config_file |> ~> Service[$units]
    Exec <| tag == 'puppetmaster_programs' |> ~> Service[$units]

    if $puppetmaster::ca and $puppetmaster::service_ensure == 'running' {
      $own = ['/bin/sh', '-c', file('puppetmaster/own-certificate.sh'), 'sh', $deploy_name, $deploy, 'git']
      exec { "certificate ${deploy_name}":
        command   => $own + ['change'],
        unless    => [$own],
        path      => ['/opt/puppetlabs/bin', '/usr/bin', '/bin'],
        tries     => 3,
        try_sleep => 5,
        require   => [Puppetmaster::Directory[$deploy], Class['puppetmaster::service']],
      }
    }

    file { $versioned_code:
      ensure  => if $static_catalogs { 'file' } else { 'absent' },
      content => epp('puppetmaster/versioned-code.conf.epp', { 'commands' => $commands }),
      tag     => 'puppetmaster_server',
      require => [Class['puppetmaster::install'], Exec["hooks in ${repository}"]],
    }
  } else {
    include puppetmaster::gone
    $links = file('puppetmaster/environments-of.sh')

    puppetmaster::unit { $units:
      ensure => absent,
      writer => $unit_writer,
    }
    -> exec { "no hooks in ${repository}":
      # Not `user`: Puppet would want the account first that goes last.
      command => ['/usr/sbin/runuser', '-u', 'git', '--', $manager, 'uninstall'],
      onlyif  => [
        ['/usr/bin/test', '-x', $manager],
        # Not whether they are as they should be: what has drifted goes, too.
        ['/usr/bin/test', '-e', "${repository}/puppetmaster/installed.json"],
      ],
      before  => Class['puppetmaster::toolkit'],
    }
    # Environments that lead into the store would lead nowhere.
    -> exec { "no environments from ${store}":
      command => ['/bin/sh', '-c', $links, 'sh', $environmentpath, $store, 'remove'],
      onlyif  => [['/bin/sh', '-c', $links, 'sh', $environmentpath, $store]],
    }
    -> exec {
      default:
        ;
      "remove ${store}":
        command => ['/bin/rm', '-rf', '--', $store],
        onlyif  => [['/usr/bin/test', '-e', $store]],
        ;
      "remove ${deploy}":
        command => ['/bin/rm', '-rf', '--', $deploy],
        onlyif  => [['/usr/bin/test', '-e', $deploy]],
        before  => Class['puppetmaster::toolkit'],
        ;
      "remove ${tokens}":
        command => ['/bin/rm', '-rf', '--', $tokens],
        onlyif  => [['/usr/bin/test', '-e', $tokens]],
        ;
    }
    -> puppetmaster::directory { "${environmentpath}/production":
      ensure => absent,
    }
    -> puppetmaster::directory { $environmentpath:
      ensure => absent,
    }
    # What stays must not be left to whoever gets the account's number next.
    -> exec {
      default:
        path   => ['/usr/bin', '/bin'],
        ;
      "root owns ${repository}":
        command => ['/bin/sh', '-c', $owned_by, 'sh', $repository, 'root', 'root', 'change'],
        onlyif  => [['/usr/bin/test', '-e', "${repository}/HEAD"]],
        unless  => [['/bin/sh', '-c', $owned_by, 'sh', $repository, 'root', 'root']],
        ;
      "root owns ${environmentpath}":
        command => ['/bin/chown', '--', 'root:root', $environmentpath],
        onlyif  => [['/usr/bin/test', '-d', $environmentpath]],
        unless  => [['/bin/sh', '-c', '[ "$(stat -c %U -- "$1")" = root ]', 'sh', $environmentpath]],
        ;
    }
    if $manage_account {
      user { 'git':
        ensure  => absent,
        require => Exec["root owns ${repository}", "root owns ${environmentpath}"],
      }
      -> group { 'git':
        ensure => absent,
      }
    }
    file {
      default:
        ensure => absent,
        before => Class['puppetmaster::toolkit'],
        ;
      ["${config_file}.store", "${config_file}.environments"]:
        ;
      $versioned_code:
        tag    => 'puppetmaster_server',
        ;
    }
    Exec["remove ${store}", "remove ${tokens}"] -> Class['puppetmaster::gone']
  }
}
