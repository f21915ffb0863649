"""Trying a branch, from the command line through LDAP to what `enc` prints, with a real follower."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import json_contract
from tests.support.following import BIN, SUFFIX, Following, add_node, add_project, eventually
from tests.support.slapd import ADD, Slapd

WEB = "web1.example.org"


@pytest.fixture
def following(slapd: Slapd, tmp_path: Path) -> Iterator[Following]:
    """Project alpha with one node, its member mia, and a running follower."""
    add_project(slapd, "alpha", environment="project_alpha")
    add_node(slapd, WEB)
    mia = f"uid=mia,ou=people,{SUFFIX}"
    slapd.add(mia, {"objectClass": ["inetOrgPerson"], "cn": "mia", "sn": "m", "userPassword": "secret"})
    slapd.modify(f"cn=alpha,ou=projects,{SUFFIX}", {"member": [(ADD, [mia])]})
    following = Following(
        tmp_path / "f",
        slapd,
        audit={"file": str(tmp_path / "trail")},
        branches={"repository": str(tmp_path / "none.git")},
    )
    following.start()
    yield following
    following.end()


def admin(following: Following, *words: str, as_mia: bool = False) -> tuple[int, str, str]:
    """Run `enc-admin node WORDS --reason …`; return exit status, stdout, stderr."""
    who = ["--as", "mia"] if as_mia else []
    command = [BIN / "enc-admin", "--config", following.configuration, "node", *words, "--reason", "a test", *who]
    done = subprocess.run(command, input="secret\n", capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def environment(following: Following) -> object:
    """What `enc` prints now."""
    status, text = following.enc(WEB)
    assert status == 0, text
    return yaml.safe_load(text)["environment"]


def tried_and_left_alone(following: Following) -> None:
    """Return with an answer of a trial that ends soon, and nobody who follows; a busy machine gets a longer one."""
    for seconds in (3, 10, 30):
        assert admin(following, "try", WEB, "topic/alpha/fix", "--for", f"{seconds}s")[0] == 0
        ends = time.monotonic() + seconds
        while "# until" not in (following.text(WEB) or "") and time.monotonic() < ends:
            time.sleep(0.02)
        following.end(signal.SIGKILL)
        if "# until" in (following.text(WEB) or ""):
            return
        following.start()
    raise AssertionError("it is never tried")


def test_a_member_tries_a_branch_and_the_node_gets_back_what_it_had(following: Following) -> None:
    status, out, err = admin(following, "try", WEB, "topic/alpha/fix", "--for", "1h", as_mia=True)
    assert status == 0 and "project_alpha__fix" in out, err
    eventually(lambda: environment(following) == "project_alpha__fix", "tried")
    shown = subprocess.run(
        [BIN / "enc-admin", "--config", following.configuration, "node", "list", "--json"], capture_output=True
    )
    row = json_contract.held("enc-admin", ["node", "list"], shown.stdout)["nodes"][0]
    assert (row["environment"], row["trial"]["reason"]) == ("project_alpha__fix", "a test")
    following.end()
    following.start()
    assert environment(following) == "project_alpha__fix", "a restart ends nothing"
    assert admin(following, "try", WEB, "topic/alpha/fix", "--for", "2s", as_mia=True)[0] == 0
    eventually(lambda: "# until" not in (following.text(WEB) or ""), "the follower notices that the time is up")
    assert environment(following) == "project_alpha"
    following.assert_true()


def test_the_time_is_up_also_if_nobody_follows(following: Following) -> None:
    tried_and_left_alone(following)
    eventually(lambda: environment(following) == "project_alpha", "over")
    assert "# until" in (following.text(WEB) or ""), "the answer is as old as before"
    following.layout.contact.unlink()
    assert environment(following) == "project_alpha", "asked in LDAP"


def test_a_trial_can_be_ended_and_an_edit_of_it_undone(following: Following) -> None:
    assert admin(following, "try", WEB, "topic/alpha/fix")[0] == 0
    eventually(lambda: environment(following) == "project_alpha__fix", "tried")
    status, _, err = admin(following, "try", WEB, "--end", as_mia=True)
    assert status == 0, err
    eventually(lambda: environment(following) == "project_alpha", "ended")
    number = err.split("node undo ")[1].split()[0]
    assert admin(following, "undo", number, as_mia=True)[0] == 0
    eventually(lambda: environment(following) == "project_alpha__fix", "undone")


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("topic/beta/fix",), 1, "member of project alpha, but may not edit the nodes"),
        (("production",), 1, "member of project alpha, but may not edit the nodes"),
        (("elsewhere",), 1, "no rule"),
        (("topic/alpha/fix", "--for", "99d"), 2, "14d"),
        (("topic/alpha/fix", "--for", "soon"), 2, "duration"),
        ((), 2, "BRANCH"),
        (("topic/alpha/fix", "--end"), 2, "BRANCH"),
    ],
)
def test_what_a_member_may_not_try(following: Following, words: tuple[str, ...], status: int, why: str) -> None:
    done = admin(following, "try", WEB, *words, as_mia=True)
    assert done[0] == status and why in done[2], done
