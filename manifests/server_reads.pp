# @summary puppetserver's account is in the group of readers and can read the answers, the password for LDAP, and environments.
#
# @api private
class puppetmaster::server_reads {
  puppetmaster::assert_private($caller_module_name)

  include puppetmaster::group_of_readers

  puppetmaster::readers { $puppetmaster::toolkit::readers: }
}
