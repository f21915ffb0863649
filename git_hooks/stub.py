"""The text of a hook: hands the push to the warm service, else does the work cold. Pure.

The hook is Perl, which git needs anyway and Debian cannot be without: it
starts in 2 ms, where Python needs 10 to 40 and a push has several hooks. It
uses no module, decides nothing, and knows only the paths that are written
into it.
"""

from __future__ import annotations

from pathlib import Path

WAIT = 120
"""Seconds that a hook waits for the service (pushes before it may be long) before it does the work itself."""

_TEXT = r"""#!/usr/bin/perl
# Written by the branch manager; `branch-manager verify` compares it. Do not edit.
my ($kind, $socket, $wait, @cold) = (%(values)s);
my $who = $ENV{PUPPETMASTER_PERSON} // $ENV{GL_USER} // $ENV{REMOTE_USER} // getpwuid($<);
local $/;
my $updates = <STDIN>;
$/ = "\n";
$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { die };
eval {
    alarm $wait;
    # 1, 1: AF_UNIX, SOCK_STREAM on every Linux; the module that names them takes longer to load than all of this.
    if (socket(my $service, 1, 1, 0) && connect($service, pack('S a* x', 1, $socket))) {
        syswrite($service, "$kind $who\n$updates");
        shutdown($service, 1);
        while (<$service>) {
            if (/^=(\d+)$/) { exit $1 }
            print;
        }
    }
};
alarm 0;
delete $ENV{GIT_DIR};
open(my $work, '|-', @cold, $kind, $who) or die "$cold[0]: $!\n";
print $work $updates;
close($work);
exit($? ? 1 : 0);
"""


def hook(kind: str, socket: Path, python: Path, configuration: Path) -> str:
    """Return the program of the hook `kind` (post-receive)."""
    values = [kind, str(socket), str(WAIT), str(python), "-I", "-m", "git_hooks.cold", str(configuration)]
    return _TEXT % {"values": ", ".join(_quoted(value) for value in values)}


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"
