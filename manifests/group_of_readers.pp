# @summary The group of accounts that may read the answers and the password for LDAP.
#
# Created by the classes whose files belong to it; an instance that only has the programs does not get it.
#
# @api private
class puppetmaster::group_of_readers {
  puppetmaster::assert_private($caller_module_name)

  group { $puppetmaster::toolkit::readers:
    ensure => $puppetmaster::toolkit::ensure,
    system => true,
  }
}
