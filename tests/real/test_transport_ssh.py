"""Git over ssh with a real sshd that asks branch-manager for keys in LDAP."""

from __future__ import annotations

import getpass
import json
import subprocess
import syslog
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from enc.directory import schema as place_of_schema
from enc.directory import slapd_process
from enc.directory.embedded_config import StartOptions
from git_hooks.transport.keys import authorized_lines
from tests.real.conftest import SlapdMaker
from tests.support.crowd import bomb, push_request
from tests.support.following import eventually
from tests.support.slapd import ADD, DELETE, REPLACE, Refused, Slapd
from tests.support.transports import Clone, Managed, S, people, ssh_key, sshd


class Place(NamedTuple):
    slapd: Slapd
    managed: Managed
    port: int
    base: Path

    @property
    def url(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}/{self.managed.bare.path.name}"

    def key(self, name: str) -> Path:
        return self.base / f"key-{name}"

    def ssh(self, name: str) -> list[str]:
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes")
        words = ["ssh", "-F", "none", "-q", "-i", str(self.key(name)), *(f"-o{option}" for option in options)]
        return [*words, "-o", "IdentityAgent=none"]

    def client(self, name: str, place: Path) -> Clone:
        return Clone(place, GIT_SSH_COMMAND=" ".join(self.ssh(name)), GIT_SSH_VARIANT="ssh")

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self.ssh(name), "-p", str(self.port), f"{getpass.getuser()}@127.0.0.1", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
        )

    def lines(self, *question: str) -> list[str]:
        done = self.managed.branch_manager("authorized-keys", *question)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def place(peopled: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("ssh")
    managed = Managed(base / "managed", peopled, read="members")
    for name in ("bob", "carol"):
        public = ssh_key(base, name).with_suffix(".pub").read_text()
        peopled.modify(f"uid={name},ou=people,{S}", {"sshPublicKey": [(ADD, [public])]})
    ssh_key(base, "stranger")
    with sshd(base / "sshd", managed) as port:
        yield Place(peopled, managed, port, base)


def test_a_member_clones_and_pushes_and_sees_it_live(place: Place, tmp_path: Path) -> None:
    clone = place.client("bob", tmp_path / "clone")
    cloned = clone.clone(place.url)
    assert cloned.returncode == 0, cloned.stderr
    done = clone.push("over ssh")
    assert done.returncode == 0 and "project_red: live at" in done.stderr
    assert '"who":"bob"' in (place.managed.settings.branches.store / "records/project_red.jsonl").read_text()


def test_who_may_push_nothing_is_told_before_git_starts(place: Place, tmp_path: Path) -> None:
    text = place.managed.configuration.read_text()
    transport = yaml.safe_load(text)["branches"]["transport"]
    place.managed.configure(branches={"transport": {**transport, "read": "authenticated"}})
    try:
        clone = place.client("carol", tmp_path / "clone")
        assert clone.clone(place.url).returncode == 0
        done = clone.push("by carol")
    finally:
        place.managed.configuration.write_text(text)
    assert done.returncode != 0 and "carol is neither in a project nor an operator" in done.stderr


def test_a_delta_that_becomes_gigabytes_ends_git(place: Place) -> None:
    pack, name = bomb(40)
    command = [
        *place.ssh("bob"),
        "-p",
        str(place.port),
        f"{getpass.getuser()}@127.0.0.1",
        "git-receive-pack repository",
    ]
    body = push_request("refs/heads/topic/red/bomb", name, pack)
    done = subprocess.run(command, input=body, capture_output=True, check=False, timeout=60)
    assert b"over limit" in done.stdout + done.stderr
    assert place.managed.tip("topic/red/bomb") is None


def test_who_may_not_read_or_is_not_known_gets_nothing(place: Place, tmp_path: Path) -> None:
    refused = place.client("carol", tmp_path / "carol").clone(place.url)
    assert refused.returncode != 0 and "carol is in no project" in refused.stderr
    assert place.client("stranger", tmp_path / "stranger").clone(place.url).returncode != 0
    forged = place.client("carol", tmp_path / "forged")
    forged.environment["PUPPETMASTER_PUSHER"] = "1 0 ssh bob 00"
    assert forged.clone(place.url).returncode != 0


@pytest.mark.parametrize(
    "command",
    [
        *(
            "",
            "id",
            "git-upload-pack '/etc'",
            "git-upload-pack 'repository.git'; id",
            "git-upload-archive 'repository'",
        ),
        *(
            "git-upload-pack '../repository.git'",
            "git-receive-pack --help 'repository'",
            "git-upload-pack repository\nid",
        ),
        *("$(id)", "git-upload-pack 'x/repository.git'", "scp -t /tmp", "git shell"),
    ],
)
def test_a_key_does_git_on_the_repository_and_nothing_else(place: Place, command: str) -> None:
    done = place.run("bob", *([command] if command else []))
    assert done.returncode == 2
    assert "uid=" not in done.stdout
    assert "branch-manager: " in done.stderr


def test_people_propose_over_ssh_as_who_they_are(place: Place) -> None:
    listed = place.run("bob", "promotion list --all --json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, {"promotions": []}), listed.stderr
    proposed = place.run("bob", "propose project/red --to test --reason 'faster; id'")
    assert proposed.returncode == 1 and "proposer: bob may not propose project/red" in proposed.stdout, proposed.stderr
    other = place.run("bob", "promote project/red --to test --as olga")
    assert other.returncode == 1 and "the key says who you are" in other.stderr
    for words in ("promote 'x", "promote --config /etc/passwd x", "promotion; id", "promotion list extra"):
        wrong = place.run("bob", words)
        assert wrong.returncode == 2 and "uid=" not in wrong.stdout + wrong.stderr, words
    assert place.run("carol", "promotion list").returncode == 1, "who may not read sees nothing"


def test_forwarding_and_terminals_are_refused(place: Place) -> None:
    words = ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", f"{getpass.getuser()}@127.0.0.1")
    done = subprocess.run(
        [*place.ssh("bob"), "-p", str(place.port), *words],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0


def test_a_key_that_leaves_ldap_is_refused_at_once(place: Place, tmp_path: Path) -> None:
    public = ssh_key(place.base, "late").with_suffix(".pub").read_text()
    entry = f"uid=olga,ou=people,{S}"
    place.slapd.modify(entry, {"sshPublicKey": [(ADD, [public])]})
    assert place.client("late", tmp_path / "in").clone(place.url).returncode == 0
    place.slapd.modify(entry, {"sshPublicKey": [(DELETE, [public])]})
    assert place.client("late", tmp_path / "out").clone(place.url).returncode != 0


def test_what_stands_in_ldap_around_a_key_does_not_reach_sshd(place: Place) -> None:
    words = ssh_key(place.base, "odd").with_suffix(".pub").read_text().split()
    value = f"no-pty,permit-nothing {words[0]} {words[1]} x"
    entry = f"uid=alice,ou=people,{S}"
    place.slapd.modify(
        entry, {"sshPublicKey": [(ADD, [value, "ssh-ed25519 AAAA", "-----BEGIN", "ssh-rsa " + words[1]])]}
    )
    assert place.lines("alice") == []
    value = f'pty  {words[0]} {words[1]}\tx"\r\n'
    place.slapd.modify(entry, {"sshPublicKey": [(REPLACE, [value])]})
    (line,) = place.lines("alice")
    assert line.startswith('restrict,command="') and line.endswith(f' alice" {words[0]} {words[1]}')
    assert place.lines(words[0], words[1]) == [line]
    assert place.lines("nobody") == place.lines("ssh-ed25519", "AAAA") == place.lines("*") == []


LIMITED = {
    'expiry-time="20200101" KEY': False,
    'expiry-time="202001010000Z" KEY': False,
    'expiry-time="20991231",no-pty KEY a comment': True,
    'from="127.0.0.0/8,!10.0.0.0/8" KEY': True,
    'from="10.0.0.0/8" KEY': False,
    'from="!127.0.0.1,*" KEY': False,
    'from="" KEY': False,
    'restrict,from="127.0.0.1",expiry-time="20991231Z" KEY': True,
    'command="/bin/sh" KEY': False,
    "cert-authority KEY": False,
    "# KEY": False,
    "#KEY": False,
    'expiry-time="20200101"\nKEY': False,
    'from="10.0.0.0/8" KEY\nKEY': False,
    "verify-required KEY": True,  # says nothing of a key without hardware
}


def test_what_limits_a_key_limits_it_at_sshd(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {value: ssh_key(place.base, f"limited-{number}") for number, value in enumerate(LIMITED)}
    public = {value: " ".join(key.with_suffix(".pub").read_text().split()[:2]) for value, key in keys.items()}
    place.slapd.modify(
        f"uid=bob,ou=people,{S}", {"sshPublicKey": [(ADD, [v.replace("KEY", k) for v, k in public.items()])]}
    )
    let_in = {v: "hello bob" in place.run(key.name.removeprefix("key-")).stderr for v, key in keys.items()}
    assert let_in == LIMITED
    noted: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: noted.append(text))
    for value, key in public.items():
        noted.clear()
        lines = authorized_lines(key, place.managed.settings, ["branch-manager"], time.time())
        told = ["an ssh key of bob is left out: " in text for text in noted]
        assert (len(lines), told) in [(1, []), (0, [True])], (value, lines, noted)


def test_a_key_of_two_people_is_nobodys(place: Place) -> None:
    public = ssh_key(place.base, "shared").with_suffix(".pub").read_text().strip()
    for name in ("alice", "olga"):
        place.slapd.modify(f"uid={name},ou=people,{S}", {"sshPublicKey": [(ADD, [f"{public} of {name}"])]})
    assert place.lines(*public.split()[:2]) == []
    assert place.run("shared").returncode != 2, "who is not let in does not get as far as ssh-shell"


def test_a_copied_key_stays_its_owners(place: Place) -> None:
    public = ssh_key(place.base, "copied").with_suffix(".pub").read_text().strip()
    place.slapd.modify(f"uid=alice,ou=people,{S}", {"sshPublicKey": [(ADD, [public])]})
    with pytest.raises(Refused):
        place.slapd.modify(f"uid=carol,ou=people,{S}", {"sshPublicKey": [(ADD, [public])]})
    assert "hello alice" in place.run("copied").stderr
    # A key before it in the alphabet, with options of the copier's own, in a comment, and with another comment.
    copies = [f"{public} mine", f'from="10.0.0.0/8" {public}', f"# {public}"]
    place.slapd.modify(f"uid=carol,ou=people,{S}", {"sshPublicKey": [(ADD, copies)]})
    assert "hello alice" in place.run("copied").stderr
    assert not [line for line in place.lines("carol") if public.split()[1] in line]
    assert [line for line in place.lines("alice") if public.split()[1] in line] == place.lines(*public.split()[:2])
    place.slapd.modify(f"uid=alice,ou=people,{S}", {"sshPublicKey": [(DELETE, [public])]})
    assert "hello carol" not in place.run("copied").stderr, "what alice took away is not carol's who limits it"


def test_keys_are_found_without_a_rule_for_parts_and_beside_what_is_too_large(
    make_slapd: SlapdMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slapd = make_slapd(options=StartOptions(limits=False))
    people(slapd)
    managed = Managed(tmp_path / "managed", slapd)
    public = ssh_key(tmp_path, "bob").with_suffix(".pub").read_text().strip()
    slapd.modify(f"uid=bob,ou=people,{S}", {"sshPublicKey": [(ADD, [public])]})
    large = [f"{public} {letter * 9_000_000}" for letter in "ab"]
    for value in large:
        slapd.modify(f"uid=carol,ou=people,{S}", {"sshPublicKey": [(ADD, [value])]})
    monkeypatch.setattr(syslog, "syslog", lambda level, text: None)

    def lines(question: str) -> list[str]:
        return authorized_lines(question, managed.settings, ["branch-manager"], time.time())

    (line,) = lines(" ".join(public.split()[:2]))
    assert "ssh-shell" in line and " bob" in line and lines("bob") == [line] and lines("carol") == []
    # As openssh-lpk has it elsewhere.
    slapd.stop()
    configuration = slapd.directory.home.configuration
    schema = (Path(str(place_of_schema.__file__)).parent / "openssh-lpk.schema").read_text()
    other = tmp_path / "openssh-lpk.schema"
    other.write_text("".join(line for line in schema.splitlines(True) if "SUBSTR" not in line))
    ours = f'"{Path(str(place_of_schema.__file__)).parent}/openssh-lpk.schema"'
    assert ours in configuration.read_text()
    configuration.write_text(configuration.read_text().replace(ours, f'"{other}"'))
    command = [slapd_process.program("slapd"), "-f", configuration, "-h", f"{slapd.ldapi_uri} {slapd.ldap_uri}"]
    with subprocess.Popen([*command, "-d", "0"], stderr=subprocess.DEVNULL) as foreign:
        eventually(lambda: slapd_process.answers(slapd.directory.home.socket_path, 1.0), "slapd answers")
        found = lines(" ".join(public.split()[:2])), lines("bob"), lines("ssh-ed25519 " + "A" * 68)
        foreign.terminate()
    assert found == ([line], [line], [])
