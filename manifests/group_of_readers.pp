# @summary The group of those who may read what LDAP says: the answers, and the password to read it.
#
# Made by what gives something to it: an instance that only has the programs does not get it.
#
# @api private
class puppetmaster::group_of_readers {
  puppetmaster::assert_private($caller_module_name)

  group { $puppetmaster::toolkit::readers:
    ensure => $puppetmaster::toolkit::ensure,
    system => true,
  }
}
