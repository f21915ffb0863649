"""What puppetserver's account cannot read on an instance is told before the first step: real accounts, modes, git."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.programs.accounts import as_account
from enc.programs.passage import blocked
from enc.puppet.hiera import data_places
from enc.settings import SelfMasterSettings, Settings
from enc.terms.names import BranchName, Certname
from puppetmaster_self.instance.machine import Machine, Places, ProgramFailed
from puppetmaster_self.transaction.readable import (
    Needed,
    account,
    central_hiera,
    in_the_way,
    of_configuration,
    of_hiera,
    unseen,
)
from puppetmaster_self.transaction.steps.master import Classifier
from puppetmaster_self.transaction.steps.reading import Reading
from tests.support.machines import needs_root
from tests.support.reachable import reachable

HIERA = """\
version: 5
defaults: {datadir: DATA, data_hash: yaml_data}
hierarchy:
  - {name: nodes, path: "nodes/%{trusted.certname}.yaml"}
  - {name: own, datadir: data, paths: [/srv/site.yaml, "/srv/%{facts.x}/y.yaml"]}
  - {name: more, datadir: "/srv/hiera-%{facts.y}/x"}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    needs_root()
    with reachable() as place:
        yield place


@pytest.fixture
def machine(place: Path) -> Machine:
    return Machine(Places(place / "self"))


def told(*paths: Path) -> list[str]:
    return [one.words for one in in_the_way(Needed(str(path), "a file") for path in paths)]


def test_the_place_that_cannot_be_passed_is_named_however_one_gets_there(place: Path) -> None:
    closed, file = place / "closed", place / "closed/inner/file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    link = place / "link"
    link.symlink_to("closed/inner")
    (place / "round").symlink_to("round")
    assert told(file, link / "file", place / "nothing/there", place) == []
    closed.chmod(0o700)
    for path in (file, link / "file", link, closed, closed / "nothing", closed / "../closed/inner/.."):
        assert as_account(account(), lambda path=path: blocked(str(path)))[0] == str(closed), path  # type: ignore[misc]
    (found,) = in_the_way([Needed(str(file), "the answers")])
    assert found.words == f"puppet cannot read {file} (the answers): {closed} cannot be passed: Permission denied"
    assert found.cure == f"chmod o+x {closed}, or use a place that puppet can reach"
    # Nobody needs to list it.
    closed.chmod(0o711)
    assert told(file, closed) == []
    file.chmod(0o600)
    assert told(file) == [f"puppet cannot read {file} (a file): it cannot be read: Permission denied"]
    assert "too many links" in told(place / "round/x")[0]


def test_what_a_confined_puppetserver_does_not_see_is_named(place: Path) -> None:
    settings = SelfMasterSettings()
    own = SelfMasterSettings(code="class {x: confined => false}")
    for other in ((settings, "dnf", "/etc/puppet"), (settings, "apt", "/etc/puppetlabs/puppet")):
        assert unseen(*other) == () == unseen(own, "apt", "/etc/puppet")
    hidden = unseen(settings, "apt", "/etc/puppet")
    shipped = (Path(__file__).parents[2] / "templates/drop-in.conf.epp").read_text()
    assert {"ProtectHome=yes", "PrivateTmp=yes"} <= set(shipped.splitlines())
    tried = {"/root/nothing": "/root", str(place): "/tmp", "/var/../home/x": "/home", "/run/user": "it"}
    for path, at in tried.items():
        (found,) = in_the_way([Needed(path, "a file")], hidden)
        assert f" {at} is hidden from it, because puppetserver's unit is confined" in found.words
    assert in_the_way([Needed("/var/lib/nothing", "a file"), Needed("/homes", "a file")], hidden) == ()


def test_what_enc_reads_is_tried(place: Path) -> None:
    secret, config = place / "ldap.secret", place / "config.yaml"
    secret.touch(mode=0o600)
    config.touch(mode=0o640)
    directory = dataclasses.replace(Settings().directory, bind_password_file=secret)
    settings = dataclasses.replace(Settings(), directory=directory)
    first, second = in_the_way(of_configuration(settings, config))
    assert str(config) in first.words and first.cure == f"chmod o+r {config}"
    assert str(secret) in second.words and second.cure.endswith(f" {secret} && chmod 0640 {secret}")
    config.chmod(0o644)
    shutil.chown(secret, group=second.cure.split()[1])
    secret.chmod(0o640)
    assert in_the_way(of_configuration(settings, config)) == ()


def test_where_hiera_leads_is_known_before_anything_is_fetched_for_good(place: Path, machine: Machine) -> None:
    closed = place / "closed"
    (closed / "data").mkdir(parents=True)
    seed = place / "seed"
    git = ("git", "-C", str(seed), "-c", "user.name=Rita", "-c", "user.email=rita@example.org")
    subprocess.run(["git", "init", "-q", "-b", "main", str(seed)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "none"], check=True)
    subprocess.run([*git, "branch", "without"], check=True)
    (seed / "hiera.yaml").write_text(HIERA.replace("DATA", str(closed / "data")))
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "hiera"], check=True)
    assert central_hiera(machine, str(seed), BranchName("without")) == ""
    assert central_hiera(machine, str(place / "away"), BranchName("main")) is None
    text = central_hiera(machine, f"file://{seed}", BranchName("main"))
    assert text is not None and data_places(text) == ["/srv", "/srv/site.yaml", str(closed / "data")]
    assert in_the_way(of_hiera(text, "branch main")) == ()
    closed.chmod(0o700)
    (found,) = in_the_way(of_hiera(text, "branch main"))
    assert f"hiera.yaml of branch main): {closed} cannot be passed" in found.words

    # Where git came with the packages only, this is the first time that it can be asked.
    step = Reading((), seed, ())
    with pytest.raises(ProgramFailed, match=f"{closed} cannot be passed: Permission denied; chmod o\\+x {closed}"):
        step.act(machine, {})
    closed.chmod(0o755)
    assert step.act(machine, {}) == "it can"
    assert Reading((), place / "nothing", ()).act(machine, {}) == "it can"


@pytest.mark.parametrize("text", ["", "[]", "a: [", "hierarchy: x", "hierarchy: [1, {paths: 3, datadir: [x]}]", "[*a]"])
def test_no_hiera_yaml_names_no_place(text: str) -> None:
    assert data_places(text) == []


def test_the_classifier_is_asked_as_puppetserver_asks(place: Path, machine: Machine) -> None:
    secret, program = place / "secret", place / "enc"
    secret.touch(mode=0o600)
    program.write_text(f"#!/bin/sh\nread line <{secret} || exit 1\nid -un; env\necho classes: {{}}\n")
    program.chmod(0o755)
    step = Classifier(Certname("web-1.example.org"), (str(program),), "nobody", timeout=0.1)
    with pytest.raises(ProgramFailed, match=r"has no answer about web-1.example.org: .*Permission denied"):
        step.act(machine, {})
    secret.write_text("x\n")
    secret.chmod(0o644)
    assert step.act(machine, {}) == "it answers"
    os.environ["ROOTS_OWN"] = "x"
    try:
        said = machine.ask(str(program), timeout=9, account=account()).output
    finally:
        del os.environ["ROOTS_OWN"]
    assert said.startswith(account().name) and "ROOTS_OWN" not in said
