"""The audit of a whole history, and the public copy; real git, the installed commands, keys made by the test."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sysconfig
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.settings import config
from enc.signing.published import PublishedKeys
from git_hooks.cli import main
from git_hooks.doctor import opening
from git_hooks.secrets import private_keys
from git_hooks.secrets.findings import Finding
from git_hooks.secrets.kept import Allowance, Allowances
from tests.support import histories, json_contract, key_forms
from tests.support.bare import git

SCRIPTS = Path(sysconfig.get_path("scripts"))


@dataclass
class Site:
    base: Path

    @property
    def repository(self) -> Path:
        return self.base / "repository.git"

    @property
    def state(self) -> Path:
        return self.base / "opening"

    @property
    def configuration(self) -> Path:
        return self.base / "config.yaml"

    def configure(self, **opening: Any) -> None:
        """Write the configuration, with these settings of the section `branches.opening`."""
        section = {"state": str(self.state), "certificates": [str(self.base / "signed")], "protocols": ["file"]}
        branches = {
            "repository": str(self.repository),
            "store": str(self.base / "store"),
            "environments": str(self.base / "environments"),
            "opening": section | opening,
        }
        signing = {"published_keys": str(self.base / "published"), "journal": str(self.base / "journal.jsonl")}
        self.configuration.write_text(yaml.safe_dump({"branches": branches, "signing": signing}))

    def run(self, *words: str, status: int | None = None) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            found = main(["--config", str(self.configuration), *words])
        if status is not None:
            assert found == status, (out.getvalue(), err.getvalue())
        return found, out.getvalue(), err.getvalue()

    def words(self, *words: str) -> list[str]:
        return [str(SCRIPTS / "branch-manager"), "--config", str(self.configuration), *words]

    def audit(self, status: int) -> dict[str, Any]:
        _, out, _ = self.run("audit-secrets", "--json", status=status)
        found: dict[str, Any] = json_contract.held("branch-manager", ["audit-secrets"], out)
        return found

    def seen(self) -> int:
        return sum(file.stat().st_size // 20 for file in self.state.glob("seen-*"))

    def allow(self, fingerprint: str, path: str = "*", until: float = 4e9) -> None:
        Allowances(self.repository).add(Allowance(fingerprint, path, "a test's own", "olga", 0, until))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    found = Site(tmp_path)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "production", str(found.repository)], check=True)
    (tmp_path / "signed").mkdir()
    found.configure()
    return found


def pem(kind: str) -> str:
    return key_forms.pem(key_forms.key(kind)).decode()


def test_a_planted_key_is_found_named_and_known_to_the_authority(site: Site) -> None:
    """Removed since, in base64, of a live certificate; on a branch; dangling; in a commit's own words; of none."""
    live, old, gone = (key_forms.key(kind) for kind in ("rsa", "ec384", "ec521"))
    (site.base / "signed/a.pem").write_bytes(key_forms.certificate(live, "*.example.org"))
    wrapped = key_forms.content({"key": "rsa", "form": "pkcs8", "wrap": ["base64"]})
    history = histories.History(site.repository)
    first = history.commit("production", {"a.pp": b"class a {}\n"})
    planted = history.commit("production", {"data/x.yaml": wrapped})
    history.commit("production", {"data/x.yaml": None})
    history.commit("production", {"modules/t/spec/old.key": key_forms.pem(old), "modules/t/spec/old.crt":
                                  key_forms.certificate(old, "old.example.org", days=-3)})
    said = history.commit("production", {"b": b"b"}, message="see\n\n" + pem("ec256"))
    history.branch("project/red", first)
    dangling = history.commit("project/red", {"lost.pem": key_forms.pem(gone)})
    git(site.repository, "update-ref", "refs/heads/project/red", first)
    loose = git(site.repository, "hash-object", "-w", "--stdin", stdin=pem("ed25519").encode())

    found = site.audit(status=4)
    by_path = {one["path"] or one["object"]: one for one in found["findings"] if "key" in one["kind"]}
    one = by_path["data/x.yaml"]
    assert (one["commit"], one["line"], one["live"], one["reachable"]) == (planted, 2, True, True)
    assert one["certificate"].startswith("the live key of CN=*.example.org, valid until 2")
    one = by_path["modules/t/spec/old.key"]
    assert one["certificate"].startswith("the key of CN=old.example.org, whose certificate expired on 2")
    assert not one["live"], "known from the history itself"
    one = by_path["lost.pem"]
    assert (one["commit"], one["reachable"], one["certificate"]) == (dangling, False, None)
    assert (by_path[said]["commit"], by_path[said]["reachable"]) == (said, True)
    assert (by_path[loose]["commit"], by_path[loose]["reachable"]) == (None, False)
    assert not found["clean"] and found["open"] == len(found["findings"]) and found["unread"] == []

    _, out, err = site.run("audit-secrets", status=4)
    sentence = f"commit {planted[:12]}, data/x.yaml, line 2, is the live key of CN=*.example.org, valid until 2"
    assert out.startswith(sentence), "the worst first"
    everything = out + err + (site.state / "verdict.json").read_text() + (site.state / "found.jsonl").read_text()
    body = pem("rsa").splitlines()[2]
    assert body not in everything and base64.b64encode(wrapped).decode()[:40] not in everything
    keys = PublishedKeys(site.base / "published")
    public = [private_keys.digest(key.public_key()) for key in (live, old, gone)]
    assert all(map(keys.has, public)) and not keys.has("0" * 64)
    assert (site.state / "verdict.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_examined_twice_and_what_is_new_is_found(site: Site) -> None:
    history = histories.History(site.repository)
    for number in range(20):
        history.commit("production", {"a.txt": b"%d\n" % number})
    assert site.audit(status=0)["clean"]
    seen = site.seen()
    site.audit(status=0)
    assert site.seen() == seen == 40, "twenty files and twenty commits"
    history.commit("production", {"deep/er/k": pem("rsa").encode()})
    (one,) = site.audit(status=4)["findings"]
    assert one["path"] == "deep/er/k" and site.seen() == 42


def test_an_audit_that_is_killed_goes_on_where_it_was(site: Site) -> None:
    """At many moments; each object is noted once, but for those that a process was at when it was killed."""
    processes = 2
    site.configure(processes=processes)
    history = histories.History(site.repository)
    history.many("production", 600, planted={300: ("keys/a.pem", key_forms.pem(key_forms.key("rsa")))})
    whole = 600 * 2 + 1
    kills = 0
    for wait in (0, 1, 300, 600, 900):
        with subprocess.Popen(site.words("audit-secrets"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
            while one.poll() is None and site.seen() < wait:
                time.sleep(0.002)
            if one.poll() is None:
                one.send_signal(signal.SIGKILL)
                kills += 1
    found = site.audit(status=4)
    assert kills >= 3 and [(one["path"], one["objects"]) for one in found["findings"]] == [("keys/a.pem", 1)]
    seen = b"".join(file.read_bytes() for file in site.state.glob("seen-*"))
    ids = [seen[at : at + 20] for at in range(0, len(seen), 20)]
    assert len(set(ids)) == whole and len(ids) - whole <= kills * processes


def test_a_process_of_the_audit_that_is_killed_is_told_and_costs_nothing(site: Site) -> None:
    histories.History(site.repository).many("production", 600)
    words, pipe = site.words("audit-secrets"), subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as one:
        while not (children := _examiners(one.pid)) or site.seen() < 10:
            assert one.poll() is None
            time.sleep(0.002)
        os.kill(children[0], signal.SIGKILL)
        _, said = one.communicate()
    assert one.returncode == 1 and "a process of the audit ended with status -9" in said
    assert not (site.state / "verdict.json").exists()
    assert site.audit(status=0)["clean"]


def _examiners(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent and b"examiner" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def test_after_a_power_cut_what_was_not_on_disk_is_examined_again(site: Site) -> None:
    histories.History(site.repository).commit("production", {"k": pem("rsa").encode()})
    assert site.audit(status=4)["open"] == 1
    checkpoint = site.state / "checkpoint.json"
    # Another boot, at which of all that was seen only the beginning was safe, and the line of what was found is gone.
    checkpoint.write_text(json.dumps({"boot": "another", "sizes": {"seen-0": 0}}))
    (site.state / "found.jsonl").write_text("")
    assert site.audit(status=4)["open"] == 1


def test_files_of_the_state_that_are_damaged_lose_no_finding(site: Site) -> None:
    histories.History(site.repository).commit("production", {"k": pem("rsa").encode()})
    site.audit(status=4)
    with (site.state / "seen-0").open("ab") as stream:
        stream.write(b"\x01\x02\x03")
    assert site.audit(status=4)["open"] == 1
    (site.state / "state.json").write_text("{")
    assert site.audit(status=4)["open"] == 1


def test_what_could_not_be_looked_at_is_looked_at_again(site: Site) -> None:
    histories.History(site.repository).commit("production", {"a.txt": b"a", "k": pem("rsa").encode()})
    (one,) = site.audit(status=4)["findings"]
    file, seen = site.state / "found.jsonl", site.state / "seen-0"
    (record,) = map(json.loads, file.read_text().splitlines())
    file.write_text(json.dumps(record | {"unchecked": ["a file that took too long"], "findings": []}) + "\n")
    seen.write_bytes(seen.read_bytes().replace(bytes.fromhex(one["object"]), b""))
    found = site.audit(status=4)
    assert found["unchecked"] == [] and [each["object"] for each in found["findings"]] == [one["object"]]
    assert site.seen() == 3


def test_a_verdict_that_is_not_ours_is_not_believed(site: Site) -> None:
    histories.History(site.repository).commit("production", {"k": pem("rsa").encode()})
    site.audit(status=4)
    file = site.state / "verdict.json"
    kept = file.read_text()
    edited = json.loads(kept) | {"findings": [], "clean": True, "open": 0}
    for text in (json.dumps(edited), "{}", "[]", "", kept[:50], kept.replace(str(site.repository), "/elsewhere")):
        file.write_text(text)
        for words in (("audit-secrets", "--last"), ("publish", str(site.base / "mirror.git"))):
            _, _, said = site.run(*words, status=1)
            assert "run branch-manager audit-secrets" in said and said.count("\n") == 1
    file.unlink()
    assert "no audit has come to its end" in site.run("audit-secrets", "--last")[2]


def test_an_allowance_makes_clean_until_it_ends(site: Site) -> None:
    histories.History(site.repository).commit("production", {"spec/k": pem("rsa").encode()})
    (one,) = site.audit(status=4)["findings"]
    site.allow(one["fingerprint"], until=time.time() - 5)
    assert site.audit(status=4)["findings"][0]["allowed"] is None
    site.allow(one["fingerprint"], "spec/*")
    found = site.audit(status=0)
    assert found["clean"] and found["findings"][0]["allowed"] == "a test's own"
    assert Finding("spec/k", 1, "x", one["fingerprint"]).text


@pytest.fixture
def mirror(site: Site) -> Path:
    place = site.base / "mirror.git"
    subprocess.run(["git", "init", "-q", "--bare", str(place)], check=True)
    return place


def refs(place: Path) -> dict[str, str]:
    lines = git(place, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_publishing_needs_a_verdict_and_pushes_the_sites_own_branches(site: Site, mirror: Path) -> None:
    history = histories.History(site.repository)
    first = history.commit("production", {"a.pp": b"class a {}\n"})
    for name in ("test", "project/red", "review/red/x", "wip"):
        history.branch(name, first)
    git(site.repository, "update-ref", "refs/archive/production@1", first)
    git(site.repository, "update-ref", "refs/tags/v1", first)
    assert "no audit has come to its end" in site.run("publish", str(mirror), status=1)[2]
    site.audit(status=0)
    _, out, _ = site.run("publish", str(mirror), "--dry-run", "--json", status=0)
    document = json_contract.held("branch-manager", ["publish"], out)
    assert [(one["branch"], one["state"]) for one in document["branches"]] == [("production", "new"), ("test", "new")]
    assert refs(mirror) == {}
    site.run("publish", str(mirror), status=0)
    assert refs(mirror) == {"refs/heads/production": first, "refs/heads/test": first}
    assert "production: already there" in site.run("publish", str(mirror), status=0)[1]
    for branch in ("review/red/x", "wip", "nowhere", "refs/archive/production@1"):
        assert site.run("publish", str(mirror), branch)[0] in (1, 2)
    site.run("publish", str(mirror), "project/red", status=0)
    assert refs(mirror).keys() == {"refs/heads/production", "refs/heads/test", "refs/heads/project/red"}
    site.configure(branches=["project/*"])
    assert "project/red: already there" in site.run("publish", str(mirror), status=0)[1]


def test_what_came_since_is_examined_and_nothing_is_pushed_with_a_secret(site: Site, mirror: Path) -> None:
    history = histories.History(site.repository)
    history.commit("production", {"a.pp": b"class a {}\n"})
    site.audit(status=0)
    good = history.commit("production", {"b.pp": b"class b {}\n"})
    site.run("publish", str(mirror), status=0)
    assert refs(mirror) == {"refs/heads/production": good}
    bad = history.commit("production", {"k.pem": pem("rsa").encode()})
    history.commit("production", {"k.pem": None})
    _, _, said = site.run("publish", str(mirror), status=1)
    assert "the verdict is not clean" in said and f"commit {bad[:12]}, k.pem, line 1" in said
    assert refs(mirror) == {"refs/heads/production": good}
    (one,) = site.audit(status=4)["findings"]
    site.allow(one["fingerprint"])
    site.run("publish", str(mirror), status=0)
    Allowances(site.repository).revoke(one["fingerprint"])
    assert site.run("publish", str(mirror))[0] == 1, "an allowance that is gone counts at once"


def test_nothing_is_forced(site: Site, mirror: Path) -> None:
    history = histories.History(site.repository)
    first = history.commit("production", {"a": b"1"})
    history.commit("production", {"a": b"2"})
    site.audit(status=0)
    site.run("publish", str(mirror), status=0)
    git(site.repository, "update-ref", "refs/heads/production", first)
    history.commit("production", {"a": b"3"})
    before = refs(mirror)
    status, _, said = site.run("publish", str(mirror))
    assert status == 1 and refs(mirror) == before and said


def test_only_addresses_of_chosen_protocols_are_pushed_to(site: Site) -> None:
    """Before anything else: nothing has been audited here."""
    for remote in ("ext::sh -c true", "--upload-pack=x", "https://u:p@h/x", "x", "git://h/x", "-", "https://h/x"):
        _, _, said = site.run("publish", "--", remote, status=2)
        assert "branches.opening" in said and said.count("\n") == 1


def test_objects_that_are_missing_stop_no_audit_and_cannot_be_published(site: Site, mirror: Path) -> None:
    histories.History(site.repository).commit("production", {"a": b"1", "k": pem("rsa").encode()})
    blob = git(site.repository, "rev-parse", "production:a")
    (site.repository / "objects" / blob[:2] / blob[2:]).unlink()
    (one,) = site.audit(status=4)["findings"]
    site.allow(one["fingerprint"])
    assert site.run("publish", str(mirror))[0] == 1 and refs(mirror) == {}


def told(site: Site) -> dict[str, tuple[str, str]]:
    """Return what the doctor says of each of its checks: how bad it is, and the words."""
    return {one.id: (one.level, one.found) for one in opening.check(config.load(site.configuration))}


def test_the_doctor_tells_how_old_the_verdict_is_and_what_is_open(site: Site) -> None:
    histories.History(site.repository).commit("production", {"spec/k": pem("rsa").encode()})
    (site.base / "signed/a.pem").write_bytes(key_forms.certificate(key_forms.key("rsa"), "*.example.org"))
    before = told(site)
    assert before["audit"][0] == "warning" and before["published-keys"][0] == "fault"
    (one,) = site.audit(status=4)["findings"]
    found = told(site)
    level, words = found["audit"]
    assert level == "fault" and "1 secret that nobody has allowed, 1 is the key of a live certificate" in words
    assert found["published-keys"] == ("ok", "the authority refuses 1 key that the repository has or had")
    assert found["known-certificates"] == ("ok", "private keys are compared with 1 known certificate")
    site.allow(one["fingerprint"])
    site.audit(status=0)
    assert told(site)["audit"][0] == "ok"
    site.configure(certificates=["/nonexistent"])
    assert told(site)["known-certificates"][0] == "fault"
    assert site.audit(status=4)["unread"], "a source that cannot be read is not clean"
    (site.state / "verdict.json").write_text("{}")
    assert told(site)["audit"][0] == "fault"
