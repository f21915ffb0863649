# @summary A systemd unit that a program of the toolkit writes for its own installation.
#
# The unit's text comes from the installed toolkit and not from this module, so
# that the two cannot disagree.
#
# @param writer
#   The program and its arguments, to which a directory is added; required for `present`.
# @param ensure
#   `absent`: it is stopped, and its file is removed.
# @param started
#   Whether it is started now and at each boot; false for a unit that a timer starts.
# @param unit
#   The unit's name.
#
# @api private
define puppetmaster::unit (
  Array[Puppetmaster::Word]                    $writer  = [],
  Puppetmaster::Ensure                         $ensure  = 'present',
  Boolean                                      $started = true,
  Pattern[/\A[a-z0-9-]+\.(service|timer)\z/]   $unit    = $title,
) {
  puppetmaster::assert_private($caller_module_name)

  $present = $ensure == 'present'
  $path = "/etc/systemd/system/${unit}"
  exec { "systemd reads ${unit}":
    command     => ['/bin/systemctl', 'daemon-reload'],
    refreshonly => true,
  }
  if $present {
    $script = file('puppetmaster/write-unit.sh')
    exec { "write ${path}":
      command => ['/bin/sh', '-c', $script, 'sh', 'write', $unit, $path] + $writer,
      unless  => [['/bin/sh', '-c', $script, 'sh', 'compare', $unit, $path] + $writer],
      path    => ['/usr/bin', '/bin'],
    }
    ~> Exec["systemd reads ${unit}"]
    if $started {
      service { $unit:
        ensure    => running,
        enable    => true,
        subscribe => Exec["systemd reads ${unit}"],
      }
    }
  } else {
    service { $unit:
      ensure => stopped,
      enable => false,
    }
    -> file { $path:
      ensure => absent,
    }
    ~> Exec["systemd reads ${unit}"]
  }
}
