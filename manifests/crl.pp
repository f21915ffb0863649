# @summary The authority's revocation list on a master that is not the authority.
#
# A timer of the toolkit fetches it every hour, verifies it and writes it to the files in `authorities.crl_files`. The
# agent's own refresh (`crl_refresh_interval`) happens only once a day, and only if the agent runs.
#
# @api private
class puppetmaster::crl {
  puppetmaster::assert_private($caller_module_name)

  $service = 'puppetmaster-crl.service'
  $timer = 'puppetmaster-crl.timer'

  if $puppetmaster::ensure == 'present' and !$puppetmaster::ca and $puppetmaster::crl_timer {
    include puppetmaster::toolkit

    puppetmaster::unit {
      default:
        writer  => ["${puppetmaster::toolkit::commands}/enc-admin", 'config', 'units'],
        require => [Class['puppetmaster::install'], Class['puppetmaster::toolkit']],
        ;
      $service:
        started => false,
        ;
      $timer:
        require => Puppetmaster::Unit[$service],
        ;
    }
  } else {
    puppetmaster::unit { $timer:
      ensure => absent,
    }
    -> puppetmaster::unit { $service:
      ensure => absent,
    }
  }
}
