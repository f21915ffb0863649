# @summary puppet.conf, puppetserver's own files, and the unit's drop-in.
#
# @api private
class puppetmaster::config {
  puppetmaster::assert_private($caller_module_name)

  $present = $puppetmaster::ensure == 'present'
  $ensure_file = if $present { 'file' } else { 'absent' }

  $own_name = $puppetmaster::own_name
  $flush_clients = if $puppetmaster::flush_clients =~ Undef {
    [$own_name, "${own_name}-deploy"]
  } else {
    $puppetmaster::flush_clients
  }
  $catalog_clients = if $puppetmaster::catalog_clients =~ Undef {
    [$own_name, "${own_name}-deploy"]
  } else {
    $puppetmaster::catalog_clients
  }
  $status_clients = if $puppetmaster::status_clients =~ Undef { [$own_name] } else { $puppetmaster::status_clients }
  $served_by = if $puppetmaster::server {
    $puppetmaster::server
  } elsif $puppetmaster::ca and !$puppetmaster::ssldir {
    $own_name
  }
  $beside_ssldir = if $puppetmaster::ssldir { regsubst($puppetmaster::ssldir, '/[^/]+\z', '') }
  $cadir = if $puppetmaster::cadir { $puppetmaster::cadir } elsif $beside_ssldir { "${beside_ssldir}/ca" }

  # puppet.conf. A parameter without a value gives the setting back.
  $wanted = {
    'server/certname'                   => $puppetmaster::certname,
    'server/dns_alt_names'              => if !empty($puppetmaster::dns_alt_names) { join($puppetmaster::dns_alt_names, ',') },
    'server/ssldir'                     => $puppetmaster::ssldir,
    'server/cadir'                      => $cadir,
    'server/environmentpath'            => $puppetmaster::environmentpath,
    'server/environment_timeout'        => $puppetmaster::environment_timeout,
    'server/versioned_environment_dirs' => $puppetmaster::versioned_environments,
    'server/autosign'                   => if $puppetmaster::ca { $puppetmaster::autosign },
    'server/certificate_revocation'     => $puppetmaster::certificate_revocation,
    'server/reports'                    => join($puppetmaster::reports, ', '),
    'main/server'                       => $served_by,
    'main/ca_server'                    => $puppetmaster::ca_server,
    'main/ca_port'                      => $puppetmaster::ca_port,
    'agent/crl_refresh_interval'        => if !$puppetmaster::ca { $puppetmaster::crl_refresh_interval },
  }
  ($wanted + $puppetmaster::settings).each |$setting, $value| {
    if $present and $value !~ Undef {
      puppetmaster_setting { $setting:
        value => String($value),
        tag   => 'puppetmaster_server',
      }
    } else {
      puppetmaster_setting { $setting:
        ensure => absent,
        tag    => 'puppetmaster_server',
      }
    }
  }

  # puppetserver's own files, as they were before and as we want them
  $conf_d = "${puppetmaster::server_confdir}/conf.d"
  $ca_cfg = "${puppetmaster::server_confdir}/services.d/ca.cfg"
  $replaced = {
    "${conf_d}/auth.conf"      => epp('puppetmaster/auth.conf.epp', {
        'flush_clients'   => $flush_clients,
        'catalog_clients' => $catalog_clients,
        'ca_clients'      => $puppetmaster::ca_clients,
        'status_clients'  => $status_clients,
        'file_bucket'     => $puppetmaster::file_bucket,
        'compiles'        => $puppetmaster::compiles,
    }),
    "${conf_d}/webserver.conf" => epp('puppetmaster/webserver.conf.epp', {
        'server_confdir' => $puppetmaster::server_confdir,
        'listen_address' => $puppetmaster::listen_address,
        'port'           => $puppetmaster::port,
        'ssl_protocols'  => $puppetmaster::ssl_protocols,
    }),
    $ca_cfg                    => if !$puppetmaster::ca { epp('puppetmaster/ca.cfg.epp') },
  }
  $replaced.each |$path, $content| {
    if $present and $content {
      puppetmaster::original { $path: }
      -> file { $path:
        ensure  => file,
        content => $content,
      }
    } else {
      puppetmaster::original { $path:
        ensure => absent,
      }
    }
  }

  $sizing = puppetmaster::sizing(
    $facts['memory']['system']['total_bytes'],
    $facts['processors']['count'],
    $puppetmaster::max_active_instances,
  )
  file { "${conf_d}/puppetmaster.conf":
    ensure  => $ensure_file,
    content => epp('puppetmaster/puppetmaster.conf.epp', {
        'instances'        => $sizing['instances'],
        'signed_by_policy' => $puppetmaster::ca and $puppetmaster::autosign =~ Puppetmaster::Path,
    }),
  }

  # JAVA_ARGS stands in a file with much else.
  $heap = if $puppetmaster::heap { $puppetmaster::heap } else { "${sizing['heap']}m" }
  $java_args = join(
    [
      "-Xms${heap}",
      "-Xmx${heap}",
      '-Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger',
    ] + $puppetmaster::java_args,
    ' ',
  )
  if $present {
    $set_java_args = ['/bin/sh', '-c', file('puppetmaster/java-args.sh'), 'sh', $puppetmaster::defaults_file, $java_args]
    puppetmaster::original { $puppetmaster::defaults_file: }
    -> exec { "JAVA_ARGS in ${puppetmaster::defaults_file}":
      command => $set_java_args + ['change'],
      unless  => [$set_java_args],
    }
  } else {
    puppetmaster::original { $puppetmaster::defaults_file:
      ensure => absent,
    }
    include puppetmaster::gone
  }

  # The unit
  $drop_in = "/etc/systemd/system/${puppetmaster::service_name}.service.d"
  $with_drop_in = $present and (
    $puppetmaster::start_race or !empty($puppetmaster::environment) or $puppetmaster::confined
  )
  $ensure_drop_in = if $with_drop_in { 'present' } else { 'absent' }
  file { "${drop_in}/puppetmaster.conf":
    ensure  => if $with_drop_in { 'file' } else { 'absent' },
    mode    => '0644',
    content => epp('puppetmaster/drop-in.conf.epp', {
        'start_race'  => $puppetmaster::start_race,
        'environment' => $puppetmaster::environment,
        'confined'    => $puppetmaster::confined,
        # Below /etc: authority and certificates, in places that may not be there yet, and an empty production.
        'writable'    => [
          $puppetmaster::server_confdir, '/etc/puppet/ssl', '/etc/puppetlabs/puppet/ssl', $puppetmaster::environmentpath,
        ] + [$puppetmaster::ssldir, $cadir].filter |$path| { $path } + $puppetmaster::writable,
        'read_only'   => ["${puppetmaster::server_confdir}/conf.d", "${puppetmaster::server_confdir}/services.d"],
        'low_port'    => $puppetmaster::port < 1024,
    }),
  }
  ~> exec { "systemd reads ${drop_in}":
    command     => ['/bin/systemctl', 'daemon-reload'],
    refreshonly => true,
  }
  puppetmaster::directory { $drop_in:
    ensure => $ensure_drop_in,
  }
  if $with_drop_in {
    Puppetmaster::Directory[$drop_in] -> File["${drop_in}/puppetmaster.conf"]
  } else {
    File["${drop_in}/puppetmaster.conf"] -> Puppetmaster::Directory[$drop_in]
  }

  # Places of our own for certificates. The directory above them may be somebody else's.
  if $present and $beside_ssldir {
    exec { "make ${beside_ssldir}":
      command => ['/bin/mkdir', '-p', '--', $beside_ssldir],
      creates => $beside_ssldir,
    }
    -> file {
      default:
        ensure => directory,
        owner  => 'puppet',
        group  => 'puppet',
        ;
      $puppetmaster::ssldir:
        mode => '0771',
        ;
      $cadir:
        mode => '0750',
        ;
    }
  }
}
