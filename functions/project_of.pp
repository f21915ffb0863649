# @summary The project that an instance is of, as its certificate and LDAP say; fails if they say none, or two.
#
# @param about
#   `$trusted`.
# @param who
#   Who asks, for the words.
# @return
#   the project
#
# @api private
function puppetmaster::project_of(Hash $about, String[1] $who) >> Pattern[/\A[a-z][a-z0-9_-]{0,62}\z/] {
  $said = {
    'its certificate (pp_project)' => $about['extensions'] ? { Hash => $about['extensions']['pp_project'], default => undef },
    'LDAP (trusted external data)' => $about['external'] ? { Hash => $about['external']['project'], default => undef },
  }.filter |$_, $project| { $project =~ String[1] }
  $projects = $said.values.unique
  if empty($projects) {
    fail("${who}: ${about['certname']} has no project, neither in its certificate (pp_project) nor in LDAP; give it one, or remove the class")
  }
  if $projects.length > 1 {
    $words = $said.map |$where, $project| { "${project} by ${where}" }.join(', ')
    fail("${who}: ${about['certname']} is of two projects, ${words}; `enc-admin instance move` changes both")
  }
  if $projects[0] !~ /\A[a-z][a-z0-9_-]{0,62}\z/ {
    fail("${who}: ${about['certname']}'s project is not a valid project name")
  }
  $projects[0]
}
