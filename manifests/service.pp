# @summary puppetserver's service.
#
# @api private
class puppetmaster::service {
  puppetmaster::assert_private($caller_module_name)

  $present = $puppetmaster::ensure == 'present'
  $ensure = $present ? {
    true    => $puppetmaster::service_ensure,
    default => 'stopped',
  }
  service { $puppetmaster::service_name:
    ensure => $ensure,
    enable => $present and $puppetmaster::service_enable,
  }

  if $present {
    # Also the settings and files that other classes of ours make.
    Puppetmaster_setting <| tag == 'puppetmaster_server' |> ~> Service[$puppetmaster::service_name]
    File <| tag == 'puppetmaster_server' |> ~> Service[$puppetmaster::service_name]
  }
}
