"""What puppetserver's own file says about its directories."""

from __future__ import annotations

import pytest

from enc.puppet.settings import own_directories

DEBIAN = """jruby-puppet: {
    # (optional) path to puppet conf dir; server-conf-dir: /not/this
    server-conf-dir: /etc/puppet

    server-code-dir: /etc/puppet/code
    server-var-dir: "/var/lib/puppetserver"
}
"""


@pytest.mark.parametrize(
    ("text", "directories"),
    [
        (DEBIAN, {"codedir": "/etc/puppet/code", "confdir": "/etc/puppet", "vardir": "/var/lib/puppetserver"}),
        ("master-var-dir = /opt/data # of puppetserver 6\n", {"vardir": "/opt/data"}),
        ("    # server-var-dir: /srv\n", {}),
        ("server-var-dir: ${elsewhere}\n", {}),
        ("", {}),
    ],
)
def test_directories_of_puppetserver(text: str, directories: dict[str, str]) -> None:
    assert own_directories(text) == directories
