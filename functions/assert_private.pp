# @summary Fails where a private class or define is used from outside this module.
#
# @param caller
#   `$caller_module_name` of the class or define.
# @return
#   nothing
#
# @api private
function puppetmaster::assert_private(Optional[String] $caller) >> Undef {
  if $caller != 'puppetmaster' {
    fail('This class or define is private to the module puppetmaster; use the classes that docs/module.md lists')
  }
  undef
}
