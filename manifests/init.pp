# @summary A Puppet master: puppetserver, sized to the machine, with the rules and settings that the toolkit needs.
#
# The same class sets up a central master and an instance's own master; only the parameters differ. Before it changes
# files of other packages (puppet.conf and puppetserver's own configuration), it keeps the originals; `ensure => absent`
# restores them. Keys, certificates, reports and environments stay.
#
# @example A master with its own certificate authority and a signing policy
#   class { 'puppetmaster':
#     dns_alt_names => ['puppet', 'puppet.example.org'],
#     autosign      => '/opt/puppetmaster-toolkit/bin/enc-autosign',
#     ca_clients    => ['puppet.example.org'],
#   }
#
# @example A second master, whose certificates come from the first
#   class { 'puppetmaster':
#     ca        => false,
#     ca_server => 'puppet.example.org',
#   }
#
# @example An authority on a machine of its own, for which `ca_server` of all others names it (docs/trust-domains.md)
#   class { 'puppetmaster':
#     compiles => false,
#     autosign => '/opt/puppetmaster-toolkit/bin/enc-autosign',
#   }
#
# @param ensure
#   `absent` removes everything that this class made.
# @param manage_package
#   Whether this class manages the package; if so, `absent` purges it.
# @param package_name
#   puppetserver's package.
# @param package_ensure
#   Its version.
# @param service_name
#   puppetserver's unit.
# @param service_ensure
#   Whether it runs.
# @param service_enable
#   Whether it starts at boot.
# @param server_confdir
#   Where puppetserver's own configuration is (conf.d, services.d).
# @param defaults_file
#   The file with JAVA_ARGS.
# @param environmentpath
#   Where environments are.
# @param start_race
#   Whether the unit of this packaging may fail to start because it looks for the process too early; a drop-in then
#   corrects this.
# @param confined
#   Whether the unit is confined: no new privileges, a read-only system, its own /tmp. By default, only for packagings
#   with which this was tried.
# @param writable
#   Further places below /etc, /usr and /boot that a confined puppetserver may write.
# @param certname
#   The master's certname; undef: the machine's.
# @param dns_alt_names
#   Other names in the master's certificate, if its own authority makes it.
# @param ssldir
#   The directory of the master's certificates, if they are not the machine's. An agent on this machine that uses
#   another master keeps its own.
# @param cadir
#   The authority's keys and certificates; undef: Puppet's default, or beside `ssldir`.
# @param ca
#   Whether this master is the certificate authority.
# @param ca_server
#   The authority's host name, if this master is not the authority.
# @param ca_port
#   Its port; undef: the same as the master's.
# @param compiles
#   Whether agents get catalogs, files and plugins here; a separate authority gives none.
# @param certificate_revocation
#   Which certificates are checked against the revocation list.
# @param crl_refresh_interval
#   How often the agent fetches the revocation list if the authority is elsewhere.
# @param crl_timer
#   Whether the toolkit fetches the revocation list every hour if the authority is elsewhere (to the files in
#   `authorities.crl_files` of its configuration).
# @param autosign
#   Whether requests are signed: a policy program, or all, or none.
# @param listen_address
#   Where puppetserver listens.
# @param port
#   Its port.
# @param ssl_protocols
#   TLS versions. 1.3 is left out, because with it agents on Ruby 3.1 (Debian 12) wait 30 s after their certificate
#   request.
# @param heap
#   The JVM's heap; undef: `puppetmaster::sizing`.
# @param max_active_instances
#   JRuby instances, that is, catalogs compiled at the same time; undef: `puppetmaster::sizing`.
# @param java_args
#   More arguments for the JVM.
# @param environment
#   Environment variables of puppetserver and of the programs that it runs.
# @param flush_clients
#   Certnames that may flush environments (each deploy does). undef: this machine's own, and that name with `-deploy`,
#   which `puppetmaster::branches` uses.
# @param catalog_clients
#   Certnames that may get any node's catalog and the classes of an environment. undef: this machine's own, and that
#   name with `-deploy`, with which pushes are compiled.
# @param ca_clients
#   Certnames that may sign, revoke and clean certificates, and read and delete requests.
# @param status_clients
#   Certnames that may read puppetserver's detailed status (`/status/v1/services`; everybody may read
#   `/status/v1/simple`). undef: this machine's own.
# @param file_bucket
#   Whether instances may store replaced files in puppetserver's file bucket, which is never emptied. Agents need it
#   only if code says so (`filebucket` with `path => false`).
# @param server
#   The master of the agent on this machine. undef: this master itself, if it is an authority and shares its
#   certificates with the agent (no `ssldir`); otherwise the setting is left alone. OpenVox 9 has no default for it.
# @param reports
#   The processors of agents' reports; `puppetmaster::enc` adds the toolkit's own. OpenVox 9 has none by default.
# @param environment_timeout
#   How long environments are cached; `unlimited` needs a flush at each deploy.
# @param versioned_environments
#   Whether environments may be links that are switched to another version.
# @param settings
#   More settings of puppet.conf: SECTION/SETTING to value.
class puppetmaster (
  Boolean                              $confined,
  Boolean                              $start_race,
  Puppetmaster::Path                   $defaults_file,
  Puppetmaster::Path                   $environmentpath,
  Puppetmaster::Path                   $server_confdir,
  String[1]                            $package_name,
  String[1]                            $service_name,
  Puppetmaster::Ensure                 $ensure                 = 'present',
  Boolean                              $manage_package         = true,
  String[1]                            $package_ensure         = 'installed',
  Enum['running', 'stopped']           $service_ensure         = 'running',
  Boolean                              $service_enable         = true,
  Array[Puppetmaster::Path]            $writable               = [],
  Optional[Puppetmaster::Certname]     $certname               = undef,
  Array[Puppetmaster::Certname]        $dns_alt_names          = [],
  Optional[Puppetmaster::Path]         $ssldir                 = undef,
  Optional[Puppetmaster::Path]         $cadir                  = undef,
  Boolean                              $ca                     = true,
  Optional[Puppetmaster::Certname]     $ca_server              = undef,
  Optional[Integer[1, 65535]]          $ca_port                = undef,
  Boolean                              $compiles               = true,
  Enum['chain', 'leaf', 'false']       $certificate_revocation = 'chain',
  String[1]                            $crl_refresh_interval   = '1d',
  Boolean                              $crl_timer              = true,
  Puppetmaster::Autosign               $autosign               = false,
  Pattern[/\A[0-9A-Fa-f.:]+\z/]        $listen_address         = '0.0.0.0',
  Integer[1, 65535]                    $port                   = 8140,
  Array[Enum['TLSv1.2', 'TLSv1.3'], 1] $ssl_protocols          = ['TLSv1.2'],
  Optional[Puppetmaster::Heap]         $heap                   = undef,
  Optional[Integer[1]]                 $max_active_instances   = undef,
  Array[Puppetmaster::Word]            $java_args              = [],
  Hash[Pattern[/\A[A-Z_]+\z/], Puppetmaster::Word] $environment = {},
  Optional[Array[Puppetmaster::Certname]] $flush_clients       = undef,
  Optional[Array[Puppetmaster::Certname]] $catalog_clients     = undef,
  Array[Puppetmaster::Certname]        $ca_clients             = [],
  Optional[Array[Puppetmaster::Certname]] $status_clients      = undef,
  Boolean                              $file_bucket            = false,
  Optional[Puppetmaster::Certname]     $server                 = undef,
  Array[Pattern[/\A\w+\z/], 1]        $reports                = ['store'],
  String[1]                            $environment_timeout    = 'unlimited',
  Boolean                              $versioned_environments = true,
  Hash[Pattern[/\A[a-z]\w*\/[a-z]\w*\z/], Variant[String, Integer, Boolean]] $settings = {},
) {
  if !$ca and !$ca_server {
    fail('puppetmaster: ca is false, so set ca_server to the host name of the authority')
  }
  if !$ca and $autosign {
    fail('puppetmaster: ca is false, so nothing is signed here: remove autosign')
  }
  if !$ca and !$compiles {
    fail('puppetmaster: a puppetserver that neither signs nor compiles (ca, compiles) does nothing')
  }
  # For the other classes, too.
  $own_name = if $certname { $certname } else { $trusted['certname'] }

  contain puppetmaster::install
  contain puppetmaster::config
  contain puppetmaster::service
  contain puppetmaster::crl

  if $ensure == 'present' {
    Class['puppetmaster::install']
    -> Class['puppetmaster::config']
    ~> Class['puppetmaster::service']
  } else {
    Class['puppetmaster::service']
    -> Class['puppetmaster::config']
    -> Class['puppetmaster::install']
  }
}
