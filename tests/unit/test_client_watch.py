"""files/client-watch.rb as the timer runs it: real looks at a master that is away, on a machine that was suspended.

In a mount namespace with a /run and /var/lib/puppetmaster of its own; the
kernel's clock is moved by a time namespace (time_namespaces(7)). `puppet` and
`systemctl` are small scripts.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.transports import free_port

REPOSITORY = Path(__file__).parents[2]
_PUPPET = """#!/bin/sh
case $1 in
config)
    echo asked >>"$0.asked"
    printf 'config = %s\\nagent_catalog_run_lockfile = /none\\nclient_datadir = /none\\n' "$0.conf";;
apply) rm -r /var/lib/puppetmaster/before/settings;;
esac
"""
_LOOKS = """
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/puppetmaster/before/settings && : >/var/lib/puppetmaster/before/settings/agent.server.json
for offset in $OFFSETS; do
    echo "look at $offset"
    [ "$offset" -lt "$EDITED_FROM" ] || echo "# $offset" >>"$PLACE/puppet.conf"
    unshare --time --monotonic "$offset" --boottime "$offset" --fork ruby "$WATCH" "$PLACE/watch.yaml" watch $TO
done
ls /var/lib/puppetmaster/before
"""


def looks(place: Path, *offsets: int, to: str = "", edited_from: int = 1_000_000) -> list[str]:
    """Look at the kernel's clock plus each of `offsets`; return what was said, and in the end what there still is.

    From `edited_from` on, puppet.conf is another one at each look.
    """
    if os.geteuid() != 0:
        pytest.skip("only root has namespaces")
    files = {"puppet": _PUPPET, "systemctl": "#!/bin/sh\n", "puppet.conf": "[agent]\nserver = web-1\n"}
    for name, text in files.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    # Not of this moment: what changes while Puppet is asked is asked about again.
    os.utime(place / "puppet.conf", (1_000_000_000, 1_000_000_000))
    (place / "certs").mkdir()
    own = {"server": "localhost", "port": free_port(), "certname": "web-2", "ssldir": str(place)}
    own |= {"puppet": str(place / "puppet"), "give_up_after": 100, "settings": {"agent/server": "web-1"}}
    (place / "watch.yaml").write_text(json.dumps(own))
    environment = {
        **os.environ,
        "WATCH": str(REPOSITORY / "files/client-watch.rb"), "PLACE": str(place),
        "PATH": f"{place}:{os.environ['PATH']}", "OFFSETS": " ".join(map(str, offsets)),
        "EDITED_FROM": str(edited_from),
    }
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", _LOOKS.replace(" $TO", f" {to}")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def test_a_night_asleep_takes_no_client_back(tmp_path: Path) -> None:
    said = looks(tmp_path, 0, 28_860, 57_720)
    assert [line for line in said if "back to the central master" in line] == [] and said[-1] == "settings"
    # Two intervals (a tenth of give_up_after each) for a gap, however long; and some seconds for the looks themselves.
    assert said[3].startswith("not served for 20 s, and back after 100 s") and "not served for 40 s" in said[5]


def test_a_master_that_is_away_is_left_after_its_time_and_nobody_has_to_listen(tmp_path: Path) -> None:
    said = looks(tmp_path, *range(0, 140, 18), to=">/dev/full")
    assert said[-1] != "settings" and [line for line in said if not line.startswith("look at")] == []


def test_puppet_is_asked_where_its_files_are_when_puppet_conf_changes_and_else_not(tmp_path: Path) -> None:
    looks(tmp_path, *range(0, 50, 10), edited_from=30)
    assert (tmp_path / "puppet.asked").read_text() == "asked\n" * 3
