# @summary A systemd unit that a program of the toolkit writes for its own installation.
#
# The unit's text comes from the installed toolkit and not from this module, so
# that the two cannot disagree.
#
# @param writer
#   The program and its words, to which a directory is added.
# @param ensure
#   `absent`: stopped, and its file gone.
# @param unit
#   The unit's name.
#
# @api private
define puppetmaster::unit (
  Array[Puppetmaster::Word, 1]        $writer,
  Puppetmaster::Ensure                $ensure = 'present',
  Pattern[/\A[a-z0-9-]+\.service\z/]  $unit   = $title,
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
    ~> service { $unit:
      ensure => running,
      enable => true,
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
