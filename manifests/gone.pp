# @summary Removes empty directories when the last of our classes is absent.
#
# @api private
class puppetmaster::gone {
  puppetmaster::assert_private($caller_module_name)

  $script = file('puppetmaster/holds-nothing.sh')
  exec { 'remove what is empty below /var/lib/puppetmaster':
    command => ['/bin/sh', '-c', $script, 'sh', '/var/lib/puppetmaster', 'remove'],
    onlyif  => [['/bin/sh', '-c', $script, 'sh', '/var/lib/puppetmaster']],
  }
  Puppetmaster::Original <| |> -> Class['puppetmaster::gone']
  Puppetmaster_setting <| |> -> Class['puppetmaster::gone']
  Puppetmaster::Directory <| title != '/var/lib/puppetmaster' |> -> Class['puppetmaster::gone']
}
