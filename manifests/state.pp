# @summary The directory that several of our classes share.
#
# @api private
class puppetmaster::state {
  puppetmaster::assert_private($caller_module_name)

  puppetmaster::directory { '/var/lib/puppetmaster': }
}
