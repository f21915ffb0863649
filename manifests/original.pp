# @summary Keeps a file as it was before us, and puts it back.
#
# The copy lies below /var/lib/puppetmaster/before/files. It is made whole, by a
# rename, before anything changes the file, and is removed after it was put back.
#
# @param ensure
#   `present`: there is a copy; `absent`: the file is as it was, and there is none.
# @param path
#   The file.
#
# @api private
define puppetmaster::original (
  Puppetmaster::Ensure $ensure = 'present',
  Puppetmaster::Path   $path   = $title,
) {
  puppetmaster::assert_private($caller_module_name)

  $kept = "/var/lib/puppetmaster/before/files${path}"

  if $ensure == 'present' {
    exec { "keep ${path}":
      command => ['/bin/sh', '-c', file('puppetmaster/keep.sh'), 'sh', $path, $kept],
      creates => $kept,
      onlyif  => [['/usr/bin/test', '-e', $path]],
    }
  } else {
    exec { "put ${path} back":
      command => ['/bin/sh', '-c', file('puppetmaster/put-back.sh'), 'sh', $path, $kept],
      onlyif  => [['/usr/bin/test', '-e', $kept]],
    }
  }
}
