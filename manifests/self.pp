# @summary Assigned to an instance in LDAP: it becomes its own master, after the run that says so has ended.
#
# A run cannot change the master that serves it. So this class only starts a
# unit, which waits until no run is under way, and then calls
# `puppetmaster-self enable`; that does the work, or goes back to what was
# before. While the instance serves itself, the class does nothing.
#
# With `absent`, `puppetmaster-self disable` is called in the same way.
#
# @example In LDAP, for one node
#   enc-admin node set web-1.example.org --class puppetmaster::self --reason 'tries the new proxy'
#
# @param puppet
#   The program `puppet`.
# @param ensure
#   Its own master (`present`), or the central one's agent (`absent`).
# @param upstream
#   The central repository, as git fetches it; undef: as the configuration says.
# @param branch
#   The branch of it that is built on; undef: the project's.
# @param for_project
#   Whether other instances of the project may use it as their master.
class puppetmaster::self (
  Puppetmaster::Path             $puppet,
  Puppetmaster::Ensure           $ensure      = 'present',
  Optional[Puppetmaster::Url]    $upstream    = undef,
  Optional[Puppetmaster::Branch] $branch      = undef,
  Boolean                        $for_project = false,
) {
  include puppetmaster::toolkit

  $program = "${puppetmaster::toolkit::commands}/puppetmaster-self"
  $unit = 'puppetmaster-self-hand-over.service'
  $verb = if $ensure == 'present' { 'enable' } else { 'disable' }
  $options = if $ensure == 'present' {
    [
      '--assigned',
      if $for_project { '--for-project' },
      if $upstream { "--upstream ${upstream}" },
      if $branch { "--branch ${branch}" },
    ].filter |$option| { $option =~ NotUndef }
  } else {
    []
  }
  # The state in which there is something to do.
  $before = if $ensure == 'present' { 'client' } else { 'serving' }

  file { "/etc/systemd/system/${unit}":
    ensure  => file,
    mode    => '0644',
    content => epp('puppetmaster/hand-over.service.epp', {
        'command' => join([$program, $verb] + $options, ' '),
        'puppet'  => $puppet,
    }),
    require => Class['puppetmaster::toolkit'],
  }
  ~> exec { "systemd reads ${unit}":
    command     => ['/bin/systemctl', 'daemon-reload'],
    refreshonly => true,
  }
  -> exec { "${verb} after this run":
    command => ['/bin/systemctl', 'start', '--no-block', $unit],
    onlyif  => [['/bin/sh', '-c', file('puppetmaster/self-state.sh'), 'sh', $program, $before]],
    unless  => [['/bin/systemctl', 'is-active', '--quiet', $unit]],
  }
}
