# @summary The toolkit's programs, and their configuration file.
#
# The other classes include this one. It installs the programs only if `source` is set; they may already come from an
# image or a package.
#
# @example Installed by pip from a git repository
#   class { 'puppetmaster::toolkit':
#     source => 'git+https://git.example.org/puppetmaster-toolkit@0123456789abcdef0123456789abcdef01234567',
#     config => {
#       'directory' => {
#         'uris'               => ['ldaps://ldap.example.org'],
#         'bind_dn'            => 'cn=enc,dc=example,dc=org',
#         'bind_password_file' => '/etc/puppetmaster/ldap.secret',
#       },
#     },
#   }
#
# @param packages
#   Packages that the installation needs.
# @param python
#   The Python that makes the virtual environment: 3.11 or later.
# @param ensure
#   `absent` removes the configuration, and the programs if this class installed them.
# @param directory
#   The virtual environment; the programs are in its `bin`. It is a link: the environments are beside it (`.a` and
#   `.b`), and an upgrade switches the link, so that no program is ever missing.
# @param source
#   What pip installs: a path, an address with `#sha256=…`, a git repository `@` a commit. undef: the programs are
#   already installed.
# @param lock
#   Which other packages pip may fetch. `shipped`: the releases in the module's files/requirements.lock, checked by
#   their hashes; a path: those in such a file on this machine; `none`: any that the index has and `source` allows.
# @param config
#   The contents of the configuration file (docs/configuration.md). undef: this class does not manage the file.
# @param ldap_secret
#   The password for reading LDAP; it is written to /etc/puppetmaster/ldap.secret.
class puppetmaster::toolkit (
  Array[String[1]]                       $packages,
  Puppetmaster::Path                     $python,
  Puppetmaster::Ensure                   $ensure      = 'present',
  Puppetmaster::Path                     $directory   = '/opt/puppetmaster-toolkit',
  Optional[Puppetmaster::Source]         $source      = undef,
  Variant[Puppetmaster::Path, Enum['shipped', 'none']] $lock = 'shipped',
  Optional[Hash[String[1], Hash[String[1], Data]]] $config = undef,
  Optional[Sensitive[String[1]]]         $ldap_secret = undef,
) {
  $commands = "${directory}/bin"
  # A link to one of the other two. The marks say what pip was given, or is being given; without one, nothing is ours.
  $places = [$directory, "${directory}.a", "${directory}.b"]
  $marks = $places.map |$place| { ["${place}/.source", "${place}/.installing"] }.flatten
  $config_directory = '/etc/puppetmaster'
  $shipped_lock = "${config_directory}/requirements.lock"
  $readers = 'puppetmaster-readers'
  $signers = 'puppetmaster-signer'
  # The trust domain that the configuration binds this machine to, if it does.
  $serves = if $config and $config['domains'] { $config['domains']['serves'] }

  if $ensure == 'present' {
    if $source {
      include puppetmaster::dpkg

      $packages.each |$package| {
        # Many modules want git.
        if !defined(Package[$package]) {
          package { $package:
            ensure => installed,
          }
        }
      }
      [$shipped_ensure, $used_lock] = $lock ? {
        'shipped' => ['file', $shipped_lock],
        default   => ['absent', $lock],
      }
      file { $shipped_lock:
        ensure  => $shipped_ensure,
        owner   => 'root',
        group   => 'root',
        mode    => '0644',
        content => file('puppetmaster/requirements.lock'),
        require => Puppetmaster::Directory[$config_directory],
      }
      $script = file('puppetmaster/install-toolkit.sh')
      $install = ['/bin/sh', '-c', $script, 'sh', $directory, $python, $source, $used_lock]
      Class['puppetmaster::dpkg']
      -> Package[$packages]
      -> exec { "install the toolkit from ${source}":
        command => $install,
        unless  => [$install + ['compare']],
        path    => ['/usr/bin', '/bin'],
        timeout => 900,
        tag     => 'puppetmaster_programs',
        require => File[$shipped_lock],
      }
    }

    puppetmaster::directory { $config_directory: }
    if $config {
      file { "${config_directory}/config.yaml":
        ensure  => file,
        owner   => 'root',
        group   => 'root',
        mode    => '0644',
        content => puppetmaster::as_yaml($config),
        require => Puppetmaster::Directory[$config_directory],
      }
    }
    if $ldap_secret {
      include puppetmaster::group_of_readers

      file { "${config_directory}/ldap.secret":
        ensure    => file,
        owner     => 'root',
        group     => $readers,
        mode      => '0640',
        content   => $ldap_secret,
        show_diff => false,
        require   => [Group[$readers], Puppetmaster::Directory[$config_directory]],
      }
    }
  } else {
    include puppetmaster::group_of_readers

    exec { "remove ${directory}":
      command => ['/bin/rm', '-rf', '--'] + $places,
      onlyif  => [['/usr/bin/test', '-e'] + $marks.join(' -o -e ').split(' ')],
    }
    file { $shipped_lock:
      ensure => absent,
      before => Puppetmaster::Directory[$config_directory],
    }
    if $config {
      file { "${config_directory}/config.yaml":
        ensure => absent,
        before => Puppetmaster::Directory[$config_directory],
      }
    }
    if $ldap_secret {
      file { "${config_directory}/ldap.secret":
        ensure => absent,
        before => Puppetmaster::Directory[$config_directory],
      }
    }
    puppetmaster::directory { $config_directory:
      ensure => absent,
    }
  }
}
