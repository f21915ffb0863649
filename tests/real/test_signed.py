"""Signed commits and tags as a rule: real signatures of ssh-keygen, pushed into a managed repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.terms.environments import Rules
from enc.terms.names import BranchName
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId
from tests.real.conftest import SlapdMaker
from tests.support.bare import commit_text, git
from tests.support.pushes import PEOPLE, ManagedRepository, S, populate
from tests.support.slapd import ADD, DELETE, Slapd

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/signed.yaml").read_text(encoding="utf-8"))
ENTRIES = {
    **dict.fromkeys(PEOPLE, "{key}"),
    "mia-rsa": "{key} of a laptop",
    "mia-expired": 'expiry-time="20200101" {key}',
    "mia-command": 'command="/bin/sh" {key}',
    "mia-verify": "verify-required {key}",
    "mia-from": 'from="192.0.2.0/24" {key}',
    "mia-comment": "# {key}",
}
"""What stands in the entry of whoever the name begins with."""
PGP = "-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n-----END PGP SIGNATURE-----\n"


class Signing:
    """A managed repository, people with keys, and commits that they sign."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        self.keys, self.slapd = base / "keys", slapd
        self.keys.mkdir()
        for name in PEOPLE:
            slapd.modify(f"uid={name},ou=people,{S}", {"objectClass": [(ADD, ["ldapPublicKey"])]})
        for name, form in ENTRIES.items():
            self.give(name.partition("-")[0], form.format(key=self.key(name, "rsa" if "rsa" in name else "ed25519")))
        for name in ("mia", "zoe"):
            self.give(name, f"{self.key('shared', 'ed25519')} of {name}")  # slapd refuses equal values
        self.key("stranger", "ed25519")
        signed = ["project/red", "topic/*", "production", "refs/tags/v*"]
        self.managed = ManagedRepository(base / "site", slapd, signed=signed, roles_kept=0)
        self.writer = self.managed._writer

    def key(self, name: str, kind: str) -> str:
        """Return the public key `name`, which is made when it is first asked for."""
        file = self.keys / name
        if not file.exists():
            size = ["-b", "2048"] if kind == "rsa" else []
            subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "", "-f", str(file)], check=True)
        return file.with_suffix(".pub").read_text().strip()

    def give(self, person: str, value: str) -> None:
        self.slapd.modify(f"uid={person},ou=people,{S}", {"sshPublicKey": [(ADD, [value])]})

    def take(self, person: str, value: str) -> None:
        self.slapd.modify(f"uid={person},ou=people,{S}", {"sshPublicKey": [(DELETE, [value])]})

    def signature(self, text: bytes, how: dict[str, Any]) -> str:
        if how.get("pgp"):
            return PGP
        words = ["ssh-keygen", "-q", "-Y", "sign", "-n", how.get("namespace", "git"), "-f", str(self.keys / how["by"])]
        made = subprocess.run(words, input=text, capture_output=True, check=True).stdout.decode()
        return made[:100] + made[140:] if how.get("cut") else made

    def commit(self, parent: str, how: dict[str, Any]) -> str:
        """Make a commit on `parent`, and return it."""
        managed = self.managed
        merged = [self.commit(parent, one) for one in how.get("merges", ())]
        content = managed._read(managed._tree_of(parent))
        tree = self.writer.tree({**content, f"file{len(parent)}-{len(merged)}": str(how)}, {}, "")
        text = commit_text(tree, parent, *merged)
        if how.get("by") or how.get("pgp"):
            lines = self.signature(text, how).rstrip("\n").split("\n")
            head, _, message = text.partition(b"\n\n")
            message += b"more" if how.get("spoil") else b""
            text = head + b"\ngpgsig " + "\n ".join(lines).encode() + b"\n\n" + message
        return self.writer.write("commit", text)

    def tag(self, ref: str, how: dict[str, Any]) -> str:
        commit = self.managed._before["refs/heads/test"]
        if how.get("light"):
            return commit
        name = how.get("called", ref.removeprefix("refs/tags/"))
        head = f"object {commit}\ntype commit\ntag {name}\ntagger A <a@example.org> 1700000000 +0000\n\n"
        text = f"{head}a tag\n"
        if "by" in how:
            signature = self.signature(text.encode(), how)
            text = f"{head}{'another' if how.get('spoil') else 'a'} tag\n{signature}"
        return self.writer.write("tag", text.encode())

    def pushed(self, case: dict[str, Any]) -> dict[str, Any]:
        ref = case.get("ref", "project/red")
        if "tag" in case:
            return {"ref": ref, "to": self.tag(ref, case["tag"])}
        tip = self.managed._before.get(self.managed.full(ref), self.managed._before["refs/heads/test"])
        for how in case["commits"]:
            tip = self.commit(tip, how)
        return {"ref": ref, "to": tip}


@pytest.fixture(scope="module")
def signing(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signing]:
    slapd = make_module_slapd()
    populate(slapd)
    made = Signing(tmp_path_factory.mktemp("signing"), slapd)
    with made.managed.serving():
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_signatures(case: dict[str, Any], signing: Signing) -> None:
    signing.managed.reset()
    pushed = signing.managed.push([signing.pushed(case)], case.get("who", "mia"))
    assert (pushed.status == 0) == case["taken"], pushed.output
    for text in case.get("says", ()):
        assert text in pushed.output, pushed.output


def test_what_this_program_made_needs_no_signature_and_what_it_brings_does(signing: Signing) -> None:
    """A merge that was approved here, say: the right to it is decided by whoever makes it."""
    site, branch = signing.managed, BranchName("production")
    site.reset()
    old = site._before[branch.ref]
    place = Rules(site.settings.branches.rules).place(branch)
    for merged, taken in (({"by": "mia"}, True), ({}, False)):
        new = ObjectId(signing.commit(old, {"merges": [merged]}))
        git(site.bare.path, "fetch", "-q", str(site._client), f"{new}:refs/kept/{new}")
        with Incoming(str(site.bare.path), os.environ) as objects:
            assert "is not signed" in Examination(objects, site.settings).problems(new, ObjectId(old), place, {})[0]
            found = Examination(objects, site.settings, made=[new]).problems(new, ObjectId(old), place, {})
        assert (found == ()) == taken, found
        git(site.bare.path, "update-ref", "-d", f"refs/kept/{new}")


def test_a_key_that_is_taken_away_signs_nothing_new(signing: Signing) -> None:
    signing.managed.reset()
    site, public = signing.managed, signing.key("mia", "ed25519")
    wanted = signing.pushed({"commits": [{"by": "mia"}]})
    signing.take("mia", public)
    try:
        pushed = site.push([wanted], "mia")
        assert pushed.status != 0 and "that nobody has in LDAP" in pushed.output
    finally:
        signing.give("mia", public)
    assert site.push([wanted], "mia").status == 0
    # What the branch has is not asked about again: a commit on top of it is enough.
    signing.take("mia", public)
    try:
        above = signing.commit(wanted["to"], {"by": "anna"})
        assert site.push([{"ref": "project/red", "to": above}], "anna").status == 0
    finally:
        signing.give("mia", public)


def test_without_ldap_nothing_is_taken_as_signed(signing: Signing) -> None:
    site = signing.managed
    site.reset()
    wanted = signing.pushed({"commits": [{"by": "mia"}]})
    document = yaml.safe_load(site.configuration.read_text())
    before = site.configuration.read_text()
    document["directory"] |= {"uris": ["ldapi://%2fnonexistent"], "timeout": "1s"}
    document["pushes"] |= {"roles_kept": 900}
    site.configuration.write_text(yaml.safe_dump(document))
    try:
        pushed = site.push([wanted], "mia")  # whose roles are still known
        assert pushed.status != 0 and "because LDAP cannot be reached" in pushed.output, pushed.output
    finally:
        site.configuration.write_text(before)


def test_no_program_of_the_configuration_is_started(signing: Signing, tmp_path: Path) -> None:
    site, mark = signing.managed, tmp_path / "was-run"
    site.reset()
    program = tmp_path / "gpg"
    program.write_text(f"#!/bin/sh\ntouch {mark}\necho '[GNUPG:] GOODSIG 0 x'\n")
    program.chmod(0o755)
    for name in ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand"):
        git(site.bare.path, "config", name, str(program))
    try:
        assert site.push([signing.pushed({"commits": [{"by": "mia", "merges": [{"pgp": True}]}]})], "mia").status != 0
        assert site.push([signing.pushed({"commits": [{"by": "mia"}]})], "mia").status == 0
    finally:
        for name in ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand"):
            git(site.bare.path, "config", "--unset-all", name)
    assert not mark.exists()
