# @summary Members of an instance's project can log in to it, and the project's admins can become root, according to LDAP.
#
# SSSD queries LDAP, over TLS only. Members of the project's posix group may log in with the ssh key in their entry, and
# members of its admins' group may use sudo. Local accounts stay as they are. The project comes from the certificate or
# from LDAP (trusted data), never from a fact; for an instance without a project, the catalog fails.
#
# For Debian's packages. docs/access.md says what happens while LDAP is down, and what the directory needs.
#
# @example In the site's hiera data
#   puppetmaster::access::uris: [ldaps://ldap.example.org]
#   puppetmaster::access::suffix: dc=example,dc=org
#   puppetmaster::access::bind_dn: cn=instances,ou=services,dc=example,dc=org
#   puppetmaster::access::ldap_secret: ENC[…]
#
# @param ensure
#   `absent`: the machine is as before; homes of people who logged in stay.
# @param uris
#   The LDAP servers, tried in this order. For ldap://, StartTLS is used.
# @param suffix
#   The DN of the top of the tree.
# @param ca_file
#   The certificates (PEM) of the authority of the LDAP servers.
# @param bind_dn
#   The account that reads LDAP; undef: anonymous. Root on each instance can read its password.
# @param ldap_secret
#   Its password.
# @param people
#   The DN below which people are; undef: `ou=people` below the suffix.
# @param people_filter
#   An LDAP filter that people must also match.
# @param people_group
#   A gidNumber below `min_id` that people may have as their primary group: 100 is Debian's group `users`.
# @param projects
#   The DN directly below which the posix groups of projects are; undef: `ou=projects` below the suffix.
# @param project_group
#   The name of a project's group, with `%s` for the project.
# @param admins
#   The DN of the group of a project's admins, with `%s` for the project; undef: `cn=projectadmin,cn=%s` below
#   `projects`. It needs a gidNumber.
# @param admins_group
#   The name of that group, with `%s` if it depends on the project.
# @param admins_member
#   The attribute with the admins' DNs; with `memberUid`, their names.
# @param login_groups
#   Further posix groups below `projects` whose members may log in, for example the site's operators.
# @param sudo_groups
#   Those of `login_groups` whose members can become root.
# @param sudo_password
#   Whether sudo asks for a password. PAM must then accept passwords (`passwords`).
# @param passwords
#   Whether passwords in LDAP are accepted (`su`, consoles, sudo, ssh if sshd allows it). Root can read them as they are
#   typed.
# @param home_keys
#   Whether keys in people's homes (`~/.ssh/authorized_keys`) are accepted too. Such a key still works after LDAP has
#   another one.
# @param schema
#   How the projects' groups list their members: DNs in `member` (`rfc2307bis`), or names in `memberUid` (`rfc2307`).
# @param nesting_level
#   How many levels of groups inside the project's group SSSD follows, at least (rfc2307bis). Everything else that reads
#   LDAP uses 3 too.
# @param attributes
#   Attributes that differ from the schema's: SSSD's `ldap_user_…` and `ldap_group_…` options with attribute names.
# @param min_id
#   Numbers below this are never accepted from LDAP.
# @param home
#   Where homes are, with `%u` for the name; undef: as in `homeDirectory`.
# @param cache_seconds
#   How long an answer from LDAP is used without asking again.
# @param offline_seconds
#   How long after LDAP's last answer people who were here before can log in by key. At least `cache_seconds`.
# @param packages
#   Packages to install. `absent` purges those that were not there before.
class puppetmaster::access (
  Puppetmaster::Ensure                                $ensure        = 'present',
  Array[Puppetmaster::Ldap_uri]                       $uris          = [],
  Optional[Puppetmaster::Dn]                          $suffix        = undef,
  Puppetmaster::Path                                  $ca_file       = '/etc/ssl/certs/ca-certificates.crt',
  Optional[Puppetmaster::Dn]                          $bind_dn       = undef,
  Optional[Sensitive[String[1]]]                      $ldap_secret   = undef,
  Optional[Puppetmaster::Dn]                          $people        = undef,
  Optional[Puppetmaster::Ldap_filter]                 $people_filter = undef,
  Optional[Integer[100]]                              $people_group  = undef,
  Optional[Puppetmaster::Dn]                          $projects      = undef,
  Pattern[/\A[a-z0-9_.-]*%s[a-z0-9_.-]*\z/]           $project_group = '%s',
  Optional[Puppetmaster::Dn]                          $admins        = undef,
  Pattern[/\A[a-z][a-z0-9_.-]*(%s[a-z0-9_.-]*)?\z/, /\A%s[a-z0-9_.-]+\z/] $admins_group = 'projectadmin',
  Pattern[/\A[A-Za-z][A-Za-z0-9-]*\z/]                $admins_member = 'roleOccupant',
  Array[Puppetmaster::Posix_name]                     $login_groups  = [],
  Array[Puppetmaster::Posix_name]                     $sudo_groups   = [],
  Boolean                                             $sudo_password = false,
  Boolean                                             $passwords     = false,
  Boolean                                             $home_keys     = false,
  Enum['rfc2307bis', 'rfc2307']                       $schema        = 'rfc2307bis',
  Integer[0, 10]                                      $nesting_level = 3,
  Hash[Pattern[/\Aldap_(user|group)_(?!search_|nesting_)[a-z_]+\z/], Pattern[/\A[A-Za-z][A-Za-z0-9;-]*\z/]] $attributes = {},
  Integer[500]                                        $min_id        = 1000,
  Optional[Pattern[/\A(\/([A-Za-z0-9._-]|%u)+)+\z/]]  $home          = '/home/%u',
  Integer[1]                                          $cache_seconds = 300,
  Integer[1]                                          $offline_seconds = 259200,
  Array[Pattern[/\A[a-z0-9][a-z0-9.+-]+\z/]]          $packages      = ['sudo', 'sssd-ldap', 'libnss-sss', 'libpam-sss'],
) {
  if $facts['os']['family'] != 'Debian' {
    fail('puppetmaster::access: supports Debian and its derivatives only (pam-auth-update); elsewhere use authselect and sssd directly')
  }
  $sssd = '/etc/sssd/sssd.conf'
  $local = '/etc/sssd/conf.d/puppetmaster-local.conf'
  $nsswitch = '/etc/nsswitch.conf'
  $keys = '/usr/local/sbin/puppetmaster-access-keys'
  $drop_in = '/etc/ssh/sshd_config.d/00-puppetmaster-access.conf'
  $sudoers = '/etc/sudoers.d/puppetmaster-access'
  $before = '/var/lib/puppetmaster/before/access'
  $kept = ['/bin/sh', '-c', file('puppetmaster/access-before.sh'), 'sh']
  $profile = ['/bin/sh', '-c', file('puppetmaster/pam-profile.sh'), 'sh', 'mkhomedir', "${before}/mkhomedir"]
  $environment = ['DEBIAN_FRONTEND=noninteractive', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin']
  $sshd_reads = ['/bin/sh', '-c', file('puppetmaster/reads.sh'), 'sh', "${before}/sshd", 'sshd', $drop_in]
  $sssd_reads = ['/bin/sh', '-c', file('puppetmaster/reads.sh'), 'sh', "${before}/sssd", 'sssd', $sssd, $local]

  if $ensure == 'present' {
    include puppetmaster::state
    include puppetmaster::dpkg

    $project = puppetmaster::project_of($trusted, 'puppetmaster::access')
    if empty($uris) or !$suffix {
      fail('puppetmaster::access: set uris and suffix, which say where LDAP is')
    }
    if $bind_dn and !$ldap_secret {
      fail('puppetmaster::access: bind_dn is set, so set ldap_secret to its password')
    }
    $secret = if $ldap_secret { $ldap_secret.unwrap.chomp }
    if $secret and $secret !~ /\A[^\s[:cntrl:]]([^[:cntrl:]]*[^\s[:cntrl:]])?\z/ {
      fail('puppetmaster::access: ldap_secret must be one line without white space at its ends')
    }
    if $sudo_password and !$passwords {
      fail('puppetmaster::access: sudo_password needs passwords => true')
    }
    if $offline_seconds < $cache_seconds {
      fail('puppetmaster::access: offline_seconds must not be less than cache_seconds, for which LDAP is not asked at all')
    }
    $group = regsubst($project_group, '%s', $project)
    $admin_group = regsubst($admins_group, '%s', $project)
    $where = if $projects { $projects } else { "ou=projects,${suffix}" }
    $admins_dn = regsubst(if $admins { $admins } else { "cn=projectadmin,cn=%s,${where}" }, '%s', $project, 'G')
    # SSSD's own min_id lets a group of a system's number pass among somebody's groups, so LDAP is asked for no such.
    $numbers = {
      'ldap_user_uid_number' => 'uidNumber', 'ldap_user_gid_number' => 'gidNumber', 'ldap_group_gid_number' => 'gidNumber',
    } + $attributes
    $uid_filter = "(${numbers['ldap_user_uid_number']}>=${min_id})"
    $own = $numbers['ldap_user_gid_number']
    $own_filter = if $people_group { "(|(${own}>=${min_id})(${own}=${people_group}))" } else { "(${own}>=${min_id})" }
    $group_filter = "(${numbers['ldap_group_gid_number']}>=${min_id})"
    $people_base = if $people { $people } else { "ou=people,${suffix}" }
    $allowed = ([$group] + $login_groups + $sudo_groups).unique

    # From 2.10 on, SSSD may run as its own account, so at each start its unit makes the file readable for the file's
    # group, whichever that is. Before 2.10, SSSD refuses a file that a group may read.
    $own_account = $facts['os']['name'] ? {
      'Debian' => versioncmp($facts['os']['release']['major'], '13') >= 0,
      'Ubuntu' => versioncmp($facts['os']['release']['major'], '25.04') >= 0,
      default  => false,
    }

    # What was before is noted before anything changes.
    puppetmaster::directory { ['/var/lib/puppetmaster/before', $before]:
      mode    => '0700',
      require => Class['puppetmaster::state'],
    }
    -> exec { "note in ${before} how it was":
      command     => $kept + ['note', $before] + $packages,
      environment => $environment,
      creates     => "${before}/packages",
      require     => Class['puppetmaster::dpkg'],
    }
    -> package { $packages:
      ensure          => installed,
      install_options => ['--no-install-recommends'],
    }
    -> file { $sssd:
      ensure    => file,
      mode      => if $own_account { '0640' } else { '0600' },
      show_diff => false,
      content   => Sensitive(epp('puppetmaster/access/sssd.conf.epp', {
            'project'       => $project,
            'uris'          => $uris,
            'suffix'        => $suffix,
            'ca_file'       => $ca_file,
            'bind_dn'       => $bind_dn,
            'secret'        => $secret,
            'people'        => "${people_base}?onelevel?(&${uid_filter}${own_filter}${people_filter})",
            'projects'      => "${where}?onelevel?${group_filter}",
            'admins'        => "${admins_dn}?base?${group_filter}",
            'admins_member' => $admins_member,
            'allowed'       => $allowed,
            'schema'        => $schema,
            'nesting_level' => $nesting_level,
            'attributes'    => $attributes,
            'min_id'        => if $people_group { min($min_id, $people_group) } else { $min_id },
            'home'          => $home,
            'passwords'     => $passwords,
            'cache_seconds' => $cache_seconds,
            'offline_days'  => ($offline_seconds + 86399) / 86400,
      })),
    }
    $names = ['/bin/sh', '-c', file('puppetmaster/local-names.sh'), 'sh', $local]
    exec { 'names of local accounts are not for LDAP':
      command     => $names + ['write'],
      unless      => [$names],
      environment => $environment,
      require     => File[$sssd],
    }
    -> exec { 'sssd reads its configuration':
      command => $sssd_reads + ['now'],
      unless  => [$sssd_reads],
    }
    -> service { 'sssd':
      ensure => running,
      enable => true,
    }
    $taken = ['/bin/sh', '-c', 'for group; do ! getent -s files group "$group" >/dev/null || exit 1; done', 'sh'] + $allowed
    exec { 'no local group has the name of one of LDAP':
      command => ['/bin/sh', '-c', 'echo "a local group has the same name as one whose members may log in: $1" >&2; exit 1', 'sh', $allowed.join(', ')],
      unless  => [$taken],
      path    => ['/usr/bin', '/bin'],
      before  => File[$keys],
    }
    # Names and then PAM, which judges who may come in; only then the keys that let somebody try.
    $listed = ['/bin/sh', '-c', file('puppetmaster/nss-sss.sh'), 'sh', $nsswitch]
    exec { "${nsswitch} names sss":
      command => $listed + ['change'],
      unless  => [$listed],
      require => Package[$packages],
      before  => Exec['PAM asks sssd'],
    }
    exec { 'PAM makes homes':
      command     => $profile + ['enable'],
      unless      => [$profile],
      environment => $environment,
      require     => Package[$packages],
    }
    -> exec { 'PAM asks sssd':
      command => ['/bin/sh', '-c', file('puppetmaster/pam-asks.sh'), 'sh', 'tell'],
      unless  => [['/bin/sh', '-c', file('puppetmaster/pam-asks.sh')]],
      require => Service['sssd'],
    }
    -> file { $keys:
      ensure  => file,
      mode    => '0755',
      content => epp('puppetmaster/access/keys.epp', {
          'groups'          => $allowed,
          'admins'          => ([$admin_group] + $sudo_groups).unique,
          'project'         => $project,
          'offline_seconds' => $offline_seconds,
      }),
    }
    -> file { $drop_in:
      ensure       => file,
      mode         => '0644',
      content      => epp('puppetmaster/access/sshd.conf.epp', {
          'keys'      => $keys,
          'groups'    => $allowed,
          'home_keys' => $home_keys,
      }),
      validate_cmd => '/usr/sbin/sshd -t -f %',
    }
    -> exec { 'sshd reads its configuration':
      command => $sshd_reads + ['now'],
      unless  => [$sshd_reads],
    }
    -> exec { 'sshd asks for keys':
      command => ['/bin/sh', '-c', file('puppetmaster/sshd-asks.sh'), 'sh', $keys, 'tell'],
      unless  => [['/bin/sh', '-c', file('puppetmaster/sshd-asks.sh'), 'sh', $keys]],
    }
    file { $sudoers:
      ensure       => file,
      mode         => '0440',
      content      => epp('puppetmaster/access/sudoers.epp', {
          'groups'   => ([$admin_group] + $sudo_groups).unique,
          'password' => $sudo_password,
      }),
      validate_cmd => '/usr/sbin/visudo -cqf %',
      require      => [Package[$packages], Service['sssd']],
    }
  } else {
    include puppetmaster::gone
    include puppetmaster::dpkg

    # Nobody new comes in before the rest goes.
    file { $drop_in:
      ensure => absent,
    }
    -> exec { 'sshd reads its configuration':
      command => $sshd_reads + ['now'],
      onlyif  => [['/usr/bin/test', '-e', "${before}/sshd"]],
      unless  => [$sshd_reads],
    }
    -> file { [$keys, $sudoers]:
      ensure => absent,
    }
    -> exec { 'PAM makes homes as before':
      command     => $profile + ['back'],
      onlyif      => [['/usr/bin/test', '-e', "${before}/mkhomedir"]],
      environment => $environment,
    }
    -> exec { 'sssd forgets':
      command => ['/bin/sh', '-c', file('puppetmaster/sssd-forgets.sh'), 'sh', $local],
      onlyif  => [['/usr/bin/test', '-e', "${before}/packages"]],
    }
    -> exec { "all as ${before} has it":
      command     => $kept + ['back', $before] + $packages,
      environment => $environment,
      onlyif      => [['/usr/bin/test', '-e', "${before}/packages"]],
      timeout     => 900,
      require     => Class['puppetmaster::dpkg'],
    }
    -> exec { "remove ${before}":
      command => ['/bin/rm', '-rf', '--', $before],
      onlyif  => [['/usr/bin/test', '-d', $before]],
      before  => Class['puppetmaster::gone'],
    }
  }
}
