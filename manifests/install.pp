# @summary puppetserver's package.
#
# @api private
class puppetmaster::install {
  puppetmaster::assert_private($caller_module_name)

  if $puppetmaster::manage_package {
    $ensure = $puppetmaster::ensure ? {
      'present' => $puppetmaster::package_ensure,
      default   => 'purged',
    }
    include puppetmaster::dpkg

    package { $puppetmaster::package_name:
      ensure  => $ensure,
      require => Class['puppetmaster::dpkg'],
    }
  }
}
