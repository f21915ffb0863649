# @summary Restores a setting of puppet.conf, unless a class in this catalog sets it.
#
# Definitions are evaluated after all classes, so the order of declarations does
# not matter.
#
# @api private
define puppetmaster::unless_declared {
  puppetmaster::assert_private($caller_module_name)

  if !defined(Puppetmaster_setting[$title]) {
    puppetmaster_setting { $title:
      ensure => absent,
      tag    => 'puppetmaster_server',
    }
  }
}
