"""`enc` and `enc-trusted` as puppetserver runs them: what they print, and that disk and LDAP say the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import yaml

from enc.answers.layout import Contact, Layout
from enc.answers.reader import look_up
from enc.terms.names import Certname
from tests.real.conftest import SlapdMaker
from tests.support.following import REPOSITORY, Following, add_node, add_project, eventually
from tests.support.slapd import Slapd

WEB = "web1.example.org"
ANSWER = '# {"project":"alpha"}\n---\nenvironment: "production"\nclasses: {}\nparameters:\n  "age_of":\n    "age":'

HOSTILE = [
    "",
    "/etc/passwd",
    "../web1.example.org",
    "a/../../b",
    "a..b",
    "web1\n.example.org",
    "web1.example.org\n",
    "*",
    "web*",
    "*)(uid=*",
    "(cn=x)",
    "Web1.example.org",
    "-rf",
    "--",
    ".hidden",
    "wéb.example.org",
    "$(id)",
    "`id`",
    "a b",
    "x" * 251,
    "a" * 300,
]


@pytest.fixture(scope="module")
def shared(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    """Project alpha with one node; nobody follows."""
    slapd = make_module_slapd()
    add_project(slapd, "alpha", puppetClass=["profile::alpha"])
    add_node(slapd, WEB, puppetClass=["ntp"], puppetmasterRegion="north", puppetmasterRole="web")
    yield Following(tmp_path_factory.mktemp("enc") / "f", slapd)


@pytest.fixture
def written(shared: Following) -> Iterator[Layout]:
    """The answers directory of `shared` as a follower would leave it; the test fills it."""
    shared.layout.create()
    now = int(time.time())
    shared.layout.contact.write_text(Contact(now, now, 3600, "current").line())
    yield shared.layout
    shutil.rmtree(shared.layout.root)


def test_without_a_follower_ldap_answers(shared: Following) -> None:
    status, text = shared.enc(WEB)
    answer = yaml.safe_load(text)
    assert status == 0
    assert list(answer["classes"]) == ["profile::alpha", "ntp"]
    assert answer["parameters"]["puppetmaster_answer"].items() >= {"source": "ldap", "age": 0}.items()
    status, text = shared.enc(WEB, program="enc-trusted")
    assert (status, json.loads(text)) == (0, {"project": "alpha", "region": "north", "role": "web", "prefixes": []})


def test_disk_and_ldap_say_the_same(shared: Following) -> None:
    direct = yaml.safe_load(shared.enc(WEB)[1])
    trusted = shared.enc(WEB, program="enc-trusted")
    shared.start()
    try:
        followed = yaml.safe_load(shared.enc(WEB)[1])
        assert shared.enc(WEB, program="enc-trusted") == trusted
    finally:
        shared.end()
        shutil.rmtree(shared.layout.root)
    assert followed["parameters"].pop("puppetmaster_answer")["source"] == "copy"
    direct["parameters"].pop("puppetmaster_answer")
    assert followed == direct


@pytest.mark.parametrize("program", ["enc", "enc-trusted"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_in_one_line(shared: Following, name: str, program: str) -> None:
    status, text = shared.enc(name, program=program)
    assert status == 1
    assert text.startswith(f"{program}: ") and text.endswith("\n") and text.count("\n") == 1
    assert len(text) < 400


def test_a_name_that_nobody_knows(shared: Following) -> None:
    status, text = shared.enc("nobody.example.org")
    assert status == 1 and text.count("\n") == 1 and "no node nobody.example.org" in text
    assert shared.enc("nobody.example.org", program="enc-trusted") == (0, "{}\n")


def test_the_age_is_added(written: Layout, shared: Following) -> None:
    now = int(time.time())
    written.contact.write_text(Contact(now - 1000, now, 3600, "unreachable").line())
    (written.nodes / f"{WEB}.yaml").write_text(ANSWER)
    status, text = shared.enc(WEB)
    assert status == 0
    assert 1000 <= yaml.safe_load(text)["parameters"]["age_of"]["age"] <= 1010


CASES: dict[str, tuple[dict[str, str], int, str]] = {
    # name: (files, seconds since the contact, asked name)
    "answer": ({f"nodes/{WEB}.yaml": ANSWER}, 0, WEB),
    "answer without age": ({f"nodes/{WEB}.yaml": "# {}\n--- {}\n"}, 0, WEB),
    "refused": ({f"refused/{WEB}": "cn=x: no good\n"}, 0, WEB),
    "answer before refusal": ({f"nodes/{WEB}.yaml": ANSWER, f"refused/{WEB}": "no\n"}, 0, WEB),
    "too old": ({f"nodes/{WEB}.yaml": ANSWER}, 3601, WEB),
    "a clock a little behind": ({f"nodes/{WEB}.yaml": ANSWER}, -30, WEB),
    "short name": ({"nodes/web1.yaml": ANSWER, "fallback": "->nodes"}, 0, WEB),
    "default": ({"nodes/default.yaml": ANSWER, "fallback": "->nodes"}, 0, WEB),
    "short name, LDAP away": ({"nodes/web1.yaml": ANSWER, "fallback": "->nodes"}, 60, WEB),
    "refused short name": ({"refused/web1": "no\n", "nodes/default.yaml": ANSWER, "fallback": "->nodes"}, 0, WEB),
}
ASKS_LDAP: dict[str, tuple[dict[str, str], int, str]] = {
    "unknown": ({}, 0, WEB),
    "cut off": ({f"nodes/{WEB}.yaml": ANSWER[:-5]}, 0, WEB),
    "empty": ({f"nodes/{WEB}.yaml": ""}, 0, WEB),
    "a clock set back": ({f"nodes/{WEB}.yaml": ANSWER}, -3600, WEB),
    "no fallback without the link": ({"nodes/default.yaml": ANSWER}, 0, WEB),
    "no fallback from a copy that is not fresh": ({"nodes/default.yaml": ANSWER, "fallback": "->nodes"}, 60, WEB),
    "no fallback, LDAP away, follower dead": ({"nodes/web1.yaml": ANSWER, "fallback": "->nodes"}, 60, WEB),
}


@pytest.mark.parametrize("case", [*CASES, *ASKS_LDAP])
@pytest.mark.parametrize("program", ["enc", "enc-trusted"])
def test_shell_and_python_read_alike(written: Layout, tmp_path: Path, case: str, program: str) -> None:
    """The shell program finds what enc.answers.reader finds, and asks LDAP exactly where that finds nothing."""
    files, age, name = (CASES | ASKS_LDAP)[case]
    for place, text in files.items():
        if text.startswith("->"):
            (written.root / place).symlink_to(text[2:])
        else:
            (written.root / place).write_text(text)
    now = int(time.time())
    state: Literal["current", "unreachable"] = "unreachable" if "LDAP away" in case else "current"
    beat = now - 60 if "follower dead" in case else now
    written.contact.write_text(Contact(now - age, beat, 3600, state).line())
    found = look_up(written, Certname(name), time.time())
    assert (found.kind in ("answer", "refused", "too old")) == (case in CASES)
    # Beside the script stands a stand-in for enc-admin that only says that it was called.
    for script in ("enc", "enc-trusted"):
        shutil.copy(REPOSITORY / "enc" / script, tmp_path / script)
    admin = tmp_path / "enc-admin"
    admin.write_text('#!/bin/sh\necho "asked: $*"\n')
    admin.chmod(0o755)
    done = subprocess.run(
        [tmp_path / program, "--config", str(written.root.parent / "config.yaml"), name], capture_output=True, text=True
    )
    trusted = program == "enc-trusted"
    if case in ASKS_LDAP:
        assert done.stdout == f"asked: answer {'--trusted ' if trusted else ''}{name}\n"
    elif found.kind == "answer":
        expected = f"{found.trusted}\n" if trusted else found.text
        assert [done.returncode, _ageless(done.stdout)] == [0, _ageless(expected)]
    else:
        shown = str(written.root.parent / "config.yaml.answers")
        expected = f"{program}: {found.text}\n".replace(str(written.root), shown)
        assert [done.returncode, _ageless(done.stdout)] == [1, _ageless(expected)]
    assert done.stderr == ""


def _ageless(text: str) -> list[str]:
    """The text without numbers that a second's change of the clock would change."""
    return [word for word in text.split() if not word.isdigit()]


def test_the_environment_cannot_change_the_program(written: Layout, shared: Following, tmp_path: Path) -> None:
    (written.nodes / f"{WEB}.yaml").write_text(ANSWER)
    evil = tmp_path / "evil"
    evil.write_text(f"touch {tmp_path}/ran\n")
    status, _ = shared.enc(
        WEB, BASH_ENV=str(evil), ENV=str(evil), LC_ALL="C.UTF-8", **{"BASH_FUNC_printf%%": "() { echo no; }"}
    )
    assert status == 0
    assert not (tmp_path / "ran").exists()


def test_ldap_that_hangs_is_waited_for_no_longer_than_said(slapd: Slapd, tmp_path: Path) -> None:
    following = Following(tmp_path / "f", slapd, directory={"timeout": "1s"})
    with slapd.hung():
        began = time.monotonic()
        status, text = following.enc(WEB)
        assert time.monotonic() - began < 30, "twice directory.timeout, which is 1 s, and starting Python"
    assert status == 1 and text.count("\n") == 1


def test_a_full_pipe_is_no_success(written: Layout, shared: Following) -> None:
    (written.nodes / f"{WEB}.yaml").write_text(ANSWER)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [REPOSITORY / "enc" / "enc", "--config", shared.configuration, WEB], stdout=full, stderr=subprocess.DEVNULL
        )
    assert done.returncode != 0


def test_terminus_falls_back_while_ldap_is_away(slapd: Slapd, tmp_path: Path) -> None:
    """A name without entry gets `default`'s answer from disk, and a deleted node has none: all as with LDAP there."""
    add_project(slapd, "alpha")
    add_node(slapd, "default", puppetClass=["fallen"])
    add_node(slapd, WEB)
    following = Following(tmp_path / "f", slapd, nodes={"semantics": "terminus"})
    following.start()
    try:
        assert '"fallen"' in following.enc("never.example.org")[1]
        slapd.delete(f"cn={WEB},ou=alpha,ou=hosts,dc=example,dc=org")
        eventually(lambda: following.text(WEB) is None, "deleted")
        before = following.enc(WEB)[1].partition("puppetmaster_answer")[0]
        assert '"fallen"' in before
        slapd.stop()
        eventually(lambda: following.status().state == "unreachable", "noticed")
        assert '"fallen"' in following.enc("never.example.org")[1]
        assert following.enc(WEB)[1].partition("puppetmaster_answer")[0] == before
    finally:
        following.end()
