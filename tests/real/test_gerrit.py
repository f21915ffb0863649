"""Gerrit's hooks as its documentation calls them: a script in its hooks directory, arguments, GIT_DIR."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from enc.answers.layout import Contact, Layout
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.terms.names import Certname, EnvironmentName
from git_hooks.deploy.records import Records
from git_hooks.repository.refstore import RefStore
from tests.real.conftest import SlapdMaker
from tests.support.bare import Bare, git
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd
from tests.support.transports import PROGRAM

ZERO = "0" * 40
RED = "refs/heads/project/red"


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


class Gerrit:
    """What of Gerrit matters here: it keeps the repository, and calls hooks around what it does there."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        self.site = ManagedRepository(base / "site", slapd, identity="gerrit")
        self.hooks = base / "hooks"
        self.hooks.mkdir()
        for kind in ("ref-update", "commit-received", "ref-updated"):
            words = f'{PROGRAM} --config {self.site.configuration} gerrit-hook {kind} "$@"'
            (self.hooks / kind).write_text(f"#!/bin/sh\nexec {words}\n")
            (self.hooks / kind).chmod(0o755)

    def call(self, kind: str, *words: str, directory: Path | None = None) -> tuple[int, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            [str(self.hooks / kind), *words],
            env=environment | {"GIT_DIR": str(directory or self.site.bare.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def push(self, ref: str, new: str, who: str = "mia") -> tuple[int, str]:
        """Push past review: before, move, after."""
        old = self.site.refs().get(ref, ZERO)
        uploader = ("--uploader", f"{who} <{who}@example.org>", "--uploader-username", who)
        status, said = self.call(
            "ref-update", "--project", "puppet", "--refname", ref, *uploader, "--oldrev", old, "--newrev", new
        )
        if status:
            return status, said
        git(self.site.bare.path, "update-ref", *(("-d", ref) if new == ZERO else (ref, new)))
        return status, said + self.moved(ref, old, new, who)[1]

    def moved(self, ref: str, old: str, new: str, who: str = "mia") -> tuple[int, str]:
        submitter = ("--submitter", f"{who} <{who}@example.org>", "--submitter-username", who)
        return self.call(
            "ref-updated", "--oldrev", old, "--newrev", new, "--refname", ref, "--project", "puppet", *submitter
        )

    def commit(self, content: dict[str, str], parent: str | None = None) -> str:
        bare: Bare = self.site.bare
        arguments = ("-p", parent) if parent else ()
        return git(bare.path, "commit-tree", bare.tree(content), "-m", "a change", *arguments)


@pytest.fixture
def gerrit(tmp_path: Path, slapd: Slapd) -> Gerrit:
    return Gerrit(tmp_path, slapd)


def test_a_push_past_review_is_judged_and_goes_live(gerrit: Gerrit) -> None:
    new = gerrit.commit({"a": "new"}, gerrit.site.refs()[RED])
    status, said = gerrit.push(RED, new, "bert")
    assert status == 1 and "bert is not a member of project red" in said
    status, said = gerrit.push(RED, new)
    assert status == 0 and "mia may push this" in said and f"project_red: live at {new[:10]} in" in said
    assert gerrit.site.shown("project_red", "a") == "new"
    assert Records(str(gerrit.site.base / "store")).of(EnvironmentName("project_red"))[0].who == "mia"


def test_a_bad_tree_is_refused_past_review_and_when_it_is_pushed_for_review(gerrit: Gerrit) -> None:
    old = gerrit.site.refs()[RED]
    bad = gerrit.commit({"out": "-> /etc"}, old)
    status, said = gerrit.push(RED, bad)
    assert status == 1 and "out: is a link that leaves the tree" in said
    words = ("--project", "puppet", "--refname", RED, "--uploader", "M", "--uploader-username", "zoe")
    revs = ("--oldrev", ZERO, "--newrev")
    status, said = gerrit.call("commit-received", *words, *revs, bad, "--cmdref", "refs/for/project/red")
    assert status == 1 and "out: is a link that leaves the tree" in said
    good = gerrit.commit({"a": "new"}, old)
    assert gerrit.call("commit-received", *words, *revs, good, "--cmdref", "refs/for/project/red") == (0, "")
    gerrit.site.configure(syntax="check")
    deep = gerrit.commit({"a.pp": "$x = " + "[" * 20_000 + "]" * 20_000}, old)
    status, said = gerrit.call("commit-received", *words, *revs, deep, "--cmdref", "refs/for/project/red")
    assert (status, said.strip()) == (0, "not checked: 1 file (is nested too deeply to be read)")
    gerrit.site.configure(syntax="off", assigned="check")
    layout, now = Layout(gerrit.site.settings.answers.directory), int(time.time())
    layout.create()
    layout.contact.write_text(Contact(now, now, 3600, "current").line())
    node = Classification(Certname("web1.example.org"), EnvironmentName("project_red"), {"a": {}}, {})
    (layout.nodes / f"{node.certname}.yaml").write_text(render_answer(node, None, "copy"))
    lacking = gerrit.commit({"docs": "x"}, old)
    status, said = gerrit.call("commit-received", *words, *revs, lacking, "--cmdref", "refs/for/project/red")
    assert status == 1 and "class a is not found any more" in said and "1 node: web1.example.org" in said
    status, said = gerrit.push(RED, lacking, "anna")
    assert status == 1 and "class a is not found any more" in said
    gerrit.site.configure(assigned="off", lint="advice")
    bad = gerrit.commit({"a.pp": '$x = "y"\n'}, old)
    status, said = gerrit.call("commit-received", *words, *revs, bad, "--cmdref", "refs/for/project/red")
    assert status == 0 and 'puppet-lint: a.pp: line 1: double quoted string' in said, said
    gerrit.site.configure(assigned="off", lint="off", lint_rule=["project/*"])
    status, said = gerrit.call("commit-received", *words, *revs, bad, "--cmdref", "refs/for/project/red")
    assert status == 1 and "puppet-lint is a rule here" in said, said


def test_what_was_reviewed_and_merged_goes_live(gerrit: Gerrit) -> None:
    old = gerrit.site.refs()[RED]
    new = gerrit.commit({"a": "merged"}, old)
    git(gerrit.site.bare.path, "update-ref", RED, new)
    status, said = gerrit.moved("project/red", old, new, "zoe")  # some versions leave refs/heads/ out
    assert status == 0 and "project_red: live at" in said
    assert gerrit.site.shown("project_red", "a") == "merged"


def test_a_deleted_branch_is_kept(gerrit: Gerrit) -> None:
    idle = "refs/heads/topic/red/idle"
    old = gerrit.site.refs()[idle]
    status, said = gerrit.push(idle, ZERO)
    assert status == 1 and "may not delete a branch" in said
    status, said = gerrit.push(idle, ZERO, "anna")
    assert status == 0 and "branch-manager restore topic/red/idle" in said
    assert [one.commit for one in RefStore(str(gerrit.site.bare.path)).archived()] == [old]


def test_gerrits_own_refs_and_other_repositories_are_its_own(gerrit: Gerrit, tmp_path: Path) -> None:
    commit = gerrit.site.refs()[RED]
    words = ("--project", "p", "--uploader", "Z", "--uploader-username", "zoe", "--oldrev", ZERO, "--newrev", commit)
    assert gerrit.call("ref-update", *words, "--refname", "refs/meta/config") == (0, "")
    assert gerrit.call("ref-update", *words, "--refname", RED, directory=tmp_path) == (0, "")
    assert gerrit.call("ref-update", *words, "--refname", "refs/heads/topic/red/x")[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--refname",),
        ("--refname", RED, "--oldrev", ZERO),
        ("--refname", RED, "--oldrev", "x", "--newrev", ZERO, "--uploader-username", "olga"),
        ("--refname", RED, "--oldrev", ZERO, "--newrev", ZERO),
        ("--refname", RED, "--oldrev", ZERO, "--newrev", ZERO, "--uploader-username", "*"),
    ],
)
def test_arguments_that_say_too_little_refuse(gerrit: Gerrit, words: tuple[str, ...]) -> None:
    assert gerrit.call("ref-update", *words)[0] != 0


def test_nobody_is_believed_past_gerrit_or_without_the_setting(gerrit: Gerrit) -> None:
    pushed = gerrit.site.push([{"ref": "project/red", "files": {"a": "b"}}], who="olga")
    assert pushed.moved == {} and "this push did not come through Gerrit" in pushed.output
    gerrit.site.configure(identity="gitolite")
    status, said = gerrit.push(RED, gerrit.commit({"a": "new"}, gerrit.site.refs()[RED]), "olga")
    assert status == 2 and "Gerrit's word on who pushes is not accepted" in said
