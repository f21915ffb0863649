"""The private puppetserver and agent, which quickstart and the other real tests stand on."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.auth_conf import AuthRule
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_agent import PrivateAgent
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.support.puppetserver import MakeMaster, request

WEB = Certname("web-1.example.org")
FLUSH = "/puppet-admin-api/v1/environment-cache?environment=production"

ENC = r"""#!/bin/bash
echo "$*" >>"${0%/*}/calls"
case $3 in
web-1.example.org) echo '{classes: {demo: {word: hello}}, environment: production}' ;;
*) echo "no entry for $3; create it first"; exit 1 ;;
esac
"""
DEMO = "class demo (String $word) { file { '%s': content => \"${word} ${trusted['external']['project']}\\n\" } }\n"


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a space in its name, as a user's checkout may have."""
    path = tmp_path_factory.mktemp("master") / "with space"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def master(base: Path, make_master: MakeMaster) -> PrivateMaster:
    enc = program(base / "enc", ENC)
    trusted = program(base / "trusted", """#!/bin/bash\necho "{\\"project\\": \\"$PROJECT\\"}"\n""")
    settings = MasterSettings(
        server=exec_terminus(enc, "--config", str(base / "config.yaml"), trusted=trusted),
        environment={"PROJECT": "alpha"},
    )
    master = make_master(base / "m", settings)
    master.add_environment(EnvironmentName("production"), {"modules/demo/manifests/init.pp": DEMO % (base / "result")})
    master.start()
    return master


@pytest.fixture(scope="module")
def agent(master: PrivateMaster) -> PrivateAgent:
    agent = master.agent(WEB)
    run = agent.run()
    assert run.status == 2, run.output
    return agent


def test_agent_applies_what_the_enc_says(base: Path, master: PrivateMaster, agent: PrivateAgent) -> None:
    assert (base / "result").read_text() == "hello alpha\n"
    assert f"--config {base}/config.yaml {WEB}" in (base / "calls").read_text().splitlines()
    again = agent.run()
    assert (again.status, again.succeeded, again.changed) == (0, True, False), again.output


def test_noop_changes_nothing(base: Path, agent: PrivateAgent) -> None:
    (base / "result").write_text("mine\n")
    run = agent.run(noop=True)
    assert "(noop)" in run.output
    assert (base / "result").read_text() == "mine\n"


def test_the_failing_encs_line_arrives_at_the_agent(master: PrivateMaster) -> None:
    run = master.agent(Certname("unknown.example.org")).run()
    assert run.status == 1
    assert "no entry for unknown.example.org; create it first" in run.output


def test_a_rule_is_needed_for_more_than_agents_do(master: PrivateMaster, agent: PrivateAgent) -> None:
    assert request(agent, master, "DELETE", FLUSH) == 403
    rule = AuthRule("flush", "/puppet-admin-api/v1/environment-cache", ("delete",), (WEB,))
    master.settings = MasterSettings(**{**vars(master.settings), "rules": (rule,)})
    master.reload()
    assert request(agent, master, "DELETE", FLUSH) == 204


def test_nothing_is_written_to_the_machines_own_puppet(base: Path, master: PrivateMaster, agent: PrivateAgent) -> None:
    ours = base.stat().st_ctime
    for top in ("/etc/puppet", "/var/lib/puppet", "/var/lib/puppetserver", "/var/log/puppet"):
        for directory, _, names in os.walk(top):
            newer = [name for name in names if (Path(directory) / name).lstat().st_ctime > ours]
            assert newer == [], directory


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, make_master: MakeMaster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        master = make_master(tmp_path, MasterSettings(port=port))
        with pytest.raises(ProcessFailed) as failure:
            master.start()
    assert "in use" in "\n".join(failure.value.__notes__)
    assert master.process.pid is None


def test_stop_ends_it_and_only_it(master: PrivateMaster, agent: PrivateAgent) -> None:
    pid = master.process.pid
    assert pid is not None
    began = time.monotonic()
    assert master.stop() is True
    assert master.stop() is False
    assert time.monotonic() - began < 30
    assert not Path(f"/proc/{pid}").exists()
