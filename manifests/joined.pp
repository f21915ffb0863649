# @summary puppetserver runs with the groups that its account has joined (`puppetmaster::readers`), all of them.
#
# A process has the groups of its start. It is started anew once, however many
# groups there are, before anything is given to them and taken from the group
# `puppet`: at no time does puppetserver not read what it read before. What the
# process has is asked, not whether this run changed anything, so a run that was
# killed in between is made good by the next.
#
# @api private
class puppetmaster::joined {
  puppetmaster::assert_private($caller_module_name)

  $service = $puppetmaster::service_name
  $groups = [$puppetmaster::toolkit::readers, $puppetmaster::toolkit::signers]
  # Afterwards it is not asked again: one that does not start does not run any more, and has the groups when it does.
  exec { "${service} runs with the groups of its account":
    command => ['/bin/sh', '-c', 'systemctl try-restart "$1" || :', 'sh', $service],
    unless  => [['/bin/sh', '-c', file('puppetmaster/runs-with-groups.sh'), 'sh', 'puppet', $service] + $groups],
    path    => ['/usr/bin', '/bin'],
    timeout => 600,
  }
  Puppetmaster::Readers <| |> -> Class['puppetmaster::joined']
}
