# @summary A Puppet master: puppetserver, sized to the machine, with the rules and settings that the toolkit needs.
#
# The same class makes a central master and an instance's own; they differ in
# parameters only. What it changes in files of others (puppet.conf and
# puppetserver's own configuration) is kept aside first, and put back by
# `ensure => absent`. Keys, certificates, reports and environments stay.
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
#   `absent` takes everything away that this class made.
# @param manage_package
#   Whether the package is ours: `absent` purges it then.
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
#   Whether the unit of this packaging may fail to start because it looks for
#   the process before it is there; a drop-in mends that.
# @param confined
#   Whether the unit is confined: no new privileges, a system that cannot be written, a /tmp of its own. By default
#   where that was tried.
# @param writable
#   Places below /etc, /usr and /boot that a confined puppetserver may write besides its own.
# @param certname
#   The master's certname; undef: the machine's.
# @param dns_alt_names
#   Other names in the master's certificate, if its own authority makes it.
# @param ssldir
#   The master's certificates, where they are not the machine's: an agent on
#   this machine that is served by somebody else keeps its own.
# @param cadir
#   The authority's keys and certificates; undef: Puppet's default, or beside `ssldir`.
# @param ca
#   Whether this master is the certificate authority.
# @param ca_server
#   Who is, if not.
# @param ca_port
#   Its port; undef: the same as the master's.
# @param compiles
#   Whether agents get catalogs, files and plugins here; an authority apart gives none.
# @param certificate_revocation
#   What is looked up in the revocation list.
# @param crl_refresh_interval
#   How often the agent fetches the revocation list where the authority is elsewhere.
# @param crl_timer
#   Whether the toolkit brings the revocation list every hour where the authority
#   is elsewhere (`authorities.crl_files` in its configuration says where to).
# @param autosign
#   Whether requests are signed: a policy program, or all, or none.
# @param listen_address
#   Where puppetserver listens.
# @param port
#   Its port.
# @param ssl_protocols
#   TLS versions. Without 1.3, since agents of Ruby 3.1 (Debian 12) wait 30 s
#   after their request for a certificate with it.
# @param heap
#   The JVM's heap; undef: `puppetmaster::sizing`.
# @param max_active_instances
#   JRuby instances, which is catalogs at a time; undef: `puppetmaster::sizing`.
# @param java_args
#   More arguments for the JVM.
# @param environment
#   Environment variables of puppetserver, and so of the programs that it runs.
# @param flush_clients
#   Certnames that may let puppetserver forget environments (each deploy does).
#   undef: this machine's own, and that name with `-deploy`, which `puppetmaster::branches` has.
# @param catalog_clients
#   Certnames that may ask for any node's catalog and for the classes of an
#   environment. undef: this machine's own.
# @param ca_clients
#   Certnames that may sign, revoke and clean certificates, and read and delete requests.
# @param status_clients
#   Certnames that may ask how puppetserver does in all detail (`/status/v1/services`;
#   `/status/v1/simple` is everybody's). undef: this machine's own.
# @param file_bucket
#   Whether instances may keep what they replace in puppetserver's file bucket, which
#   nothing empties. Agents need it only where code says so (`filebucket` with
#   `path => false`).
# @param server
#   Who serves the agent on this machine. undef: this master itself, if it has an
#   authority and no certificates apart from the agent's (`ssldir`); else the
#   setting is left alone. OpenVox 9 has no default for it.
# @param reports
#   What becomes of agents' reports; `puppetmaster::enc` adds the toolkit's own
#   processor. OpenVox 9 keeps none by default.
# @param environment_timeout
#   How long environments are cached; `unlimited` needs a flush at each deploy.
# @param versioned_environments
#   Whether an environment may be a link that is switched to another version.
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
    fail('puppetmaster: without an authority of its own (ca => false), ca_server must say who signs')
  }
  if !$ca and $autosign {
    fail('puppetmaster: without an authority of its own (ca => false), nothing is signed here: leave autosign away')
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
