# @summary To be assigned to an instance in LDAP: the instance becomes its own master after its run has ended.
#
# A run cannot change the master that serves it. So this class only asks systemd for a transient unit,
# `puppetmaster-self-hand-over`: `puppetmaster-self enable` waits there until the run has ended, then does the work; if
# it fails, it undoes everything. While the instance serves itself, the class does nothing. When it is removed in LDAP,
# the instance goes back by itself.
#
# With `absent`, `puppetmaster-self disable` is called in the same way. The class
# leaves nothing on the instance.
#
# @example In LDAP, for one node
#   enc-admin node set web-1.example.org --class puppetmaster::self --reason 'tries the new proxy'
#
# @param ensure
#   `present`: its own master; `absent`: an agent of the central master.
# @param upstream
#   The address of the central repository; undef: as in the configuration.
# @param branch
#   The central branch on which local commits are made; undef: the project's.
# @param for_project
#   Whether other instances of the project may use it as their master.
class puppetmaster::self (
  Puppetmaster::Ensure           $ensure      = 'present',
  Optional[Puppetmaster::Url]    $upstream    = undef,
  Optional[Puppetmaster::Branch] $branch      = undef,
  Boolean                        $for_project = false,
) {
  include puppetmaster::toolkit

  $program = "${puppetmaster::toolkit::commands}/puppetmaster-self"
  $unit = 'puppetmaster-self-hand-over.service'
  # What is called, and the state in which there is something to do.
  if $ensure == 'present' {
    $verb = 'enable'
    $before = 'client'
    $options = [
      if $for_project { ['--for-project'] },
      if $upstream { ['--upstream', $upstream] },
      if $branch { ['--branch', $branch] },
    ].filter |$option| { $option =~ NotUndef }
  } else {
    $verb = 'disable'
    $before = 'serving'
    $options = []
  }

  exec { "${verb} after this run":
    command => [
      '/usr/bin/systemd-run', '--no-block', '--collect', '--quiet', "--unit=${unit}",
      '--description=Hand over between the central Puppet master and this instance\'s own',
      # With root's home directory, as by hand; and its programs end in order when it is stopped.
      '--property=User=root', '--property=KillMode=mixed',
      '--', $program, $verb, '--assigned',
    ] + flatten($options),
    onlyif  => [['/bin/sh', '-c', file('puppetmaster/self-state.sh'), 'sh', $program, $before]],
    unless  => [['/bin/systemctl', 'is-active', '--quiet', $unit]],
    require => Class['puppetmaster::toolkit'],
  }
}
