"""The way to production against real git, deployer and slapd: a story, each rule, conflicts, queues, reverts, kills."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from enc.terms.errors import Conflict, NotAllowed, ToolkitError, UsageError
from git_hooks.doctor import promotion as doctor
from git_hooks.promotion.effect import OnNodes
from git_hooks.promotion.rungs import Rung
from git_hooks.push.incoming import Incoming
from git_hooks.repository.apart import GitApart
from git_hooks.repository.objects import Repository
from git_hooks.repository.patches import patch_ids
from git_hooks.repository.refs import ObjectId
from tests.real.conftest import SlapdMaker
from tests.support.bare import Bare, git
from tests.support.promoting import RULES, Ladder, approved, operators, promoted, wish
from tests.support.slapd import Slapd
from tests.support.transports import Clone, hooks_served, people

FORK = multiprocessing.get_context("fork")
TWO: list[dict[str, object]] = [{"name": "test", "branch": "test"}, {"name": "production", "branch": "production"}]


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    people(made)
    operators(made)
    return made


@pytest.fixture
def ladder(slapd: Slapd, tmp_path: Path) -> Ladder:
    return Ladder(tmp_path / "ladder", slapd)


def rungs(**production: object) -> list[dict[str, object]]:
    """Return test without approvals, and production with these settings."""
    top = {"name": "production", "branch": "production", "approvals": None, **production}
    return [{"name": "test", "branch": "test", "approvals": None}, top]


# The story


def test_from_a_projects_branch_to_production_and_back(ladder: Ladder) -> None:
    change = ladder.write("project/red", {"manifests/site.pp": "# red\n"}, "red: a faster site")

    said = ladder.fails("promote", "project/red", "--to", "test", "--as", "alice", "--reason", "T1")
    assert "P1 is proposed: approvals: it has 0 of 1 approvals of operator" in said
    shown = ladder.data("promotion", "show", "P1")
    assert [one["subject"] for one in shown["comes"]] == ["red: a faster site"] and "+# red" in shown["difference"]
    effect = shown["effect"]["digest"]
    assert "alice proposed it" in ladder.fails("promotion", "approve", "P1", "--effect", effect, "--as", "alice")
    assert "bob may not approve" in ladder.fails("promotion", "approve", "P1", "--effect", effect, "--as", "bob")
    assert ladder.data("promotion", "approve", "P1", "--effect", effect[:32], "--as", "olga")["state"] == "done"
    assert ladder.shown("test") == "# red\n" and ladder.shown("production") == "# first\n"

    assert "P2 is proposed" in ladder.fails("promote", "test", "--to", "production", "--as", "olga")
    effect = ladder.data("promotion", "show", "P2")["effect"]["digest"]
    assert ladder.data("promotion", "approve", "P2", "--effect", effect, "--as", "otto")["state"] == "done"
    assert ladder.shown("production") == "# red\n"

    where = {one["rung"]: one for one in ladder.data("status", change)["rungs"]}
    assert {name: (one["promotion"], one["approved_by"]) for name, one in where.items()} == {
        "test": ("P1", ["olga"]),
        "production": ("P2", ["otto"]),
    }
    kept = ladder.data("promotion", "history", "production")["promotions"]
    assert [(one["id"], one["proposed_by"], one["approvals"][0]["who"]) for one in kept] == [("P2", "olga", "otto")]

    undone = ladder.data("revert", "P1", "--reason", "catalogs fail", "--until", "2099-01-01", "--as", "otto")
    assert [(one["rung"], one["state"]) for one in undone["reverts"]] == [("production", "done"), ("test", "done")]
    assert {one["branch"]: (one["who"], one["until"]) for one in undone["holds"]} == {
        "test": ("otto", "2099-01-01T00:00:00Z"),
        "production": ("otto", "2099-01-01T00:00:00Z"),
    }
    assert ladder.shown("test") == ladder.shown("production") == "# first\n"
    again = ("promote", "project/red", "--to", "test", "--pick", "--commit", change, "--as", "alice")
    refused = ladder.data(*again, status=1)
    assert "keeps 'red: a faster site' out: catalogs fail" in next(
        one["why"] for one in refused["rules"] if one["rule"] == "held"
    )
    assert [one["landed_as"] for one in ladder.data("status", change)["rungs"]] == [[], []]
    assert ladder.data("promotion", "lift", "H2", "--reason", "mended elsewhere", "--as", "olga")["lifted_by"] == "olga"
    assert "is proposed: approvals" in ladder.fails(*again)
    rehearsed = ladder.data("promotion", "rehearse", "approvals=2", "--to", "test")
    assert rehearsed["looked_at"] == 1 and [one["id"] for one in rehearsed["refused"]] == ["P1"]
    assert [one["state"] for one in ladder.data("promotion", "list", "--all")["promotions"]] == [
        *["done"] * 4, "proposed"
    ]
    assert ladder.branch_manager("promotion", "holds").stdout.startswith("H1  production  otto  until 2099-01-01")


def test_where_it_came_from_is_readable_from_the_commits_alone(ladder: Ladder, tmp_path: Path) -> None:
    """With git's own means, in a clone, with nothing of ours beside it."""
    change = ladder.write("project/red", {"data/common.yaml": "a: 2\n"}, "red: two\n\nPromoted-By: nobody")
    with ladder.desk() as desk:
        assert promoted(desk, wish()).state == "done"
        top = promoted(desk, wish("test", "production", "olga"), "otto")
    git(tmp_path, "clone", "-q", "--bare", str(ladder.bare.path), "clone.git")
    clone = tmp_path / "clone.git"
    form = "".join(f"%(trailers:key={name},valueonly)" for name in ("Promotion", "Promoted-By", "Approved-By"))
    assert git(clone, "log", "-1", f"--format={form}", "production").split() == ["P2", "olga", "otto"]
    found = git(clone, "log", "-1", "--format=%(trailers:key=Promoted-From,valueonly)", "production").strip()
    source, _, commit = found.partition("@")
    assert source == "test" and commit == git(clone, "rev-parse", "production^2")
    assert git(clone, "rev-parse", "test^2") == change and top.new == git(clone, "rev-parse", "production")
    evidence = git(clone, "log", "-1", "--format=%(trailers:key=Evidence,valueonly)", "production")
    assert "approvals: 1 of 1" in evidence and "soak: live on test since 2" in evidence
    for file in (ladder.bare.path / "puppetmaster/promotion").glob("P*.json"):
        file.unlink()
    told = ladder.data("promotion", "history", "test", "--commits")["commits"]
    assert [(one["promoted_by"], one["approved_by"], one["source"]) for one in told] == [
        ("alice", ["olga"], f"project/red@{change}")
    ]


def test_picked_commits_keep_their_authors_and_say_what_they_are_of(ladder: Ladder) -> None:
    first = ladder.write("project/red", {"data/common.yaml": "a: 2\n"}, "red: data", "bob")
    ladder.write("project/red", {"manifests/site.pp": "# not yet\n"}, "red: not yet", "bob")
    last = ladder.write("project/red", {"manifests/one.pp": "# 1\n"}, "red: one", "bob")
    with ladder.desk() as desk:
        made = promoted(desk, wish(commits=(ObjectId(first), ObjectId(last))))
        assert made.state == "done", made.why
        assert ladder.shown("test") == "# first\n" and ladder.shown("test", "data/common.yaml") == "a: 2\n"
        form = "%an %s %(trailers:key=Promotion,valueonly,separator=)"
        picked = git(ladder.bare.path, "log", "-2", f"--format={form}", "test")
        assert picked.splitlines() == ["bob red: one P1", "bob red: data P1"]
        assert f"(cherry picked from commit {last})" in git(ladder.bare.path, "log", "-1", "--format=%B", "test")
        # The same commits come with the whole branch: they are known by their patches.
        looked = desk.preview(wish())
        assert {told.commit for told, _ in looked.made.result.already} == {first, last}
        rest = desk.preview(wish(pick=True))
        assert [told.subject for told in rest.made.result.comes] == ["red: not yet"]
        with pytest.raises(UsageError, match="is a merge"):
            tip = ladder.tip("production")
            desk.preview(wish("test", "production", "olga", commits=(ObjectId(merge_on(ladder, "test", tip)),)))


def merge_on(ladder: Ladder, branch: str, other: str | None) -> str:
    tip, path = ladder.tip(branch), ladder.bare.path
    assert tip is not None and other is not None
    made = git(path, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-p", other, "-m", "a merge")
    git(path, "update-ref", f"refs/heads/{branch}", made)
    return made


def test_a_conflict_names_file_patch_and_author_of_each_side(ladder: Ladder) -> None:
    ladder.write("test", {"manifests/one.pp": "# 1\n# two\n# 3\n# 4\n# 5\n"}, "test: two", "olga")
    ladder.write("project/red", {"manifests/one.pp": "# 1\n# zwei\n# 3\n# 4\n# 5\n"}, "red: zwei", "alice")
    done = ladder.data("promote", "project/red", "--to", "test", "--as", "alice", status=1)
    (clash,) = done["conflicts"]
    assert clash["path"] == "manifests/one.pp" and "CONFLICT (content)" in clash["what"]
    assert (clash["ours"]["author"], clash["ours"]["subject"]) == ("olga <olga@example.org>", "test: two")
    assert (clash["theirs"]["author"], clash["theirs"]["subject"]) == ("alice <alice@example.org>", "red: zwei")
    assert "+# two" in clash["ours"]["patch"] and "+# zwei" in clash["theirs"]["patch"]
    assert done["id"] is None and ladder.data("promotion", "list", "--all")["promotions"] == []
    said = ladder.fails("promote", "project/red", "--to", "test", "--as", "alice")
    assert "conflict: it does not merge with test: manifests/one.pp" in said and "red: zwei (alice" in said
    # What does not conflict goes by itself.
    good = ladder.write("project/red", {"data/common.yaml": "a: 3\n"}, "red: data")
    with ladder.desk() as desk:
        assert promoted(desk, wish(commits=(ObjectId(good),))).state == "done"


# Each rule, once


class Refused(NamedTuple):
    """A rule, how the site is, what is done, and what is said."""

    rule: str
    rungs: list[dict[str, object]]
    do: Callable[[Ladder], tuple[str, ...]]
    says: str


def _change(ladder: Ladder, branch: str = "project/red") -> None:
    ladder.write(branch, {"manifests/site.pp": "# changed\n"})


def _to(rung: str, source: str = "project/red", who: str = "olga") -> tuple[str, ...]:
    return ("promote", source, "--to", rung, "--as", who)


def _broken(ladder: Ladder) -> tuple[str, ...]:
    ladder.write("project/red", {"environment.conf": "modulepath = /etc/elsewhere\n"}, deploy=False)
    git(ladder.bare.path, "update-ref", "refs/heads/project/red", ladder.tip("project/red") or "")
    ladder.configure(pushes={"file_bytes": 10})
    ladder.write("project/red", {"data/large": "x" * 100}, deploy=False)
    return _to("test")


def _held(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    assert ladder.branch_manager("hold", "test", "--reason", "a freeze").returncode == 0
    return _to("test")


def _on_test(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    assert ladder.data(*_to("test"))["state"] == "done"
    return _to("production", "test")


def _reverted(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    change = ladder.tip("project/red") or ""
    assert ladder.data(*_to("test"))["state"] == "done"
    assert ladder.branch_manager("revert", change, "--reason", "no", "--as", "olga").returncode == 0
    return (*_to("test"), "--pick", "--commit", change)


def _red(ladder: Ladder) -> tuple[str, ...]:
    words = _on_test(ladder)
    ladder.fails(*words)
    assert ladder.branch_manager("promotion", "check", "P2", "ci", "--result", "red", "--as", "olga").returncode == 0
    return ("promotion", "list", "--all")


def _failing(ladder: Ladder) -> tuple[str, ...]:
    words = _on_test(ladder)
    ladder.run_of("web1.example.org", "test", "failed", time.time() + 1)
    return words


def _changed(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    return _to("test")


def _by_alice(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    return _to("test", who="alice")


def _by_bob(ladder: Ladder) -> tuple[str, ...]:
    _change(ladder)
    return _to("test", who="bob")


def _past_test(ladder: Ladder) -> tuple[str, ...]:
    ladder.write("project/red", {"manifests/site.pp": "# changed\n"})
    return _to("production")


REFUSED = [
    Refused("source", rungs(), _past_test, "project/red may not be promoted to production; test may"),
    Refused("proposer", rungs(), _by_bob, "bob may not propose project/red for test; operator or projectadmin may"),
    Refused("news", rungs(), lambda _: _to("test"), "all of it is on test already"),
    Refused("held", rungs(), _reverted, "hold H2 of olga until"),
    Refused("tree", rungs(), _broken, "data/large"),
    Refused("below", rungs(sources=["project/*"]), _past_test, "1 commit of it is not on test"),
    Refused("approvals", TWO, _changed, "it has 0 of 1 approvals of operator"),
    Refused("right", rungs(), _by_alice, "alice is not an operator and may not move a branch that belongs to no"),
    Refused("stopped", rungs(), _held, "environment test is held by"),
    Refused("checks", rungs(checks=["ci"]), _red, "ci is red"),
    Refused("reported", rungs(checks=["ci"]), _on_test, "nobody has reported ci yet"),
    Refused("soak", rungs(soak_time="1h"), _on_test, "it must be live on test for 59m more"),
    Refused("soak", rungs(soak_runs=2), _on_test, "0 of 2 good runs of canary nodes of test"),
    Refused("canaries", rungs(soak_time="1s"), _failing, "runs fail on test since it is live there: web1.example.org"),
]


@pytest.fixture
def noded(slapd: Slapd) -> None:
    """web1 uses test, web2 production."""
    slapd_nodes(slapd)


def slapd_nodes(slapd: Slapd) -> None:
    from tests.support.transports import S

    if slapd.__dict__.setdefault("noded", False):
        return
    for name, environment in (("web1.example.org", "test"), ("web2.example.org", "production")):
        entry = {"objectClass": ["device", "puppetClient"], "cn": name, "environment": environment}
        slapd.add(f"cn={name},ou=hosts,{S}", entry)
    slapd.__dict__["noded"] = True


@pytest.mark.parametrize("case", REFUSED, ids=[f"{one.rule} {number}" for number, one in enumerate(REFUSED)])
def test_each_rule_refuses(case: Refused, slapd: Slapd, noded: None, tmp_path: Path) -> None:
    ladder = Ladder(tmp_path / "ladder", slapd, rungs=case.rungs)
    words = case.do(ladder)
    before = {branch: ladder.tip(branch) for branch in ("test", "production")}
    done = ladder.branch_manager(*words)
    assert f"{case.rule}: " in done.stdout + done.stderr and case.says in done.stdout + done.stderr
    assert {branch: ladder.tip(branch) for branch in before} == before


def test_a_soak_is_over_when_the_canaries_had_their_runs(slapd: Slapd, noded: None, tmp_path: Path) -> None:
    ladder = Ladder(tmp_path / "ladder", slapd, rungs=rungs(soak_runs=2))
    words = _on_test(ladder)
    ladder.run_of("web1.example.org", "test", at=time.time() - 3600)  # before it went live there
    ladder.run_of("web1.example.org", "production")
    assert "0 of 2 good runs" in ladder.fails(*words)
    ladder.run_of("web1.example.org", "test", "failed", time.time() + 1)
    ladder.run_of("web1.example.org", "test", "changed", time.time() + 2)
    ladder.run_of("web1.example.org", "test", "unchanged", time.time() + 3)
    assert ladder.branch_manager("promotion", "go-on").returncode == 0
    assert ladder.data("promotion", "list", "--all")["promotions"][-1]["state"] == "done"
    assert "2 good runs of canary nodes" in git(ladder.bare.path, "log", "-1", "--format=%B", "production")


def test_nobody_approves_what_they_wrote_or_pushed(ladder: Ladder) -> None:
    ladder.write("project/red", {"manifests/site.pp": "# a\n"}, author="Otto O.", pusher="alice")
    ladder.write("project/red", {"data/common.yaml": "a: 2\n"}, author="bob", pusher="olga")
    with ladder.desk() as desk:
        looked = desk.propose(wish())
        with pytest.raises(NotAllowed, match="olga pushed a commit of it"):
            approved(desk, looked, "olga")
        with pytest.raises(NotAllowed, match="otto wrote a commit of it"):
            approved(desk, looked, "otto")
        assert desk.kept.get("P1").approvals == ()


# Approvals and what they are of


def test_an_approval_is_void_when_the_effect_is_another(ladder: Ladder) -> None:
    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    with ladder.desk() as desk:
        looked = desk.propose(wish())
        approved(desk, looked)
        moved = ladder.write("test", {"data/common.yaml": "a: 9\n"}, "test: nine", "otto")
        list(desk.promote("P1", "alice"))
        kept = desk.kept.get("P1")
        assert kept.state == "proposed"
        void = next(one for one in kept.why if one.startswith("approvals: "))
        assert "that of olga is void, because the effect is another now: test moved from" in void
        assert "the result differs in data/common.yaml" in void and moved[:10] in void
        with pytest.raises(Conflict, match="look again"):
            assert looked.promotion.effect is not None
            list(desk.approve("P1", "olga", looked.promotion.effect.digest))
        approved(desk, desk.looked("P1"))
        assert desk.kept.get("P1").state == "done"

        ladder.write("project/red", {"manifests/site.pp": "# redder\n"})
        approved(desk, desk.propose(wish()))
        ladder.write("project/red", {"manifests/site.pp": "# reddest\n"})
        list(desk.promote("P2", "alice"))
        (void,) = [one for one in desk.kept.get("P2").why if one.startswith("approvals: ")]
        assert "project/red moved from" in void and "the result differs in manifests/site.pp" in void
        assert ladder.shown("test") == "# red\n"


def test_the_effect_on_catalogs_is_part_of_what_is_approved(ladder: Ladder) -> None:
    seen: list[tuple[str, bool]] = []
    effects = ["one file", "two files"]

    def catalogs(objects: Incoming, rung: Rung, new: ObjectId, *, fresh: bool) -> OnNodes:
        assert objects.commit(new)[0]  # it can be compiled from
        seen.append((rung.name, fresh))
        return OnNodes(effects[0], f"1 node differs\n  web1 gets {effects[0]}")

    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    with ladder.desk(catalogs=catalogs) as desk:
        approved(desk, desk.propose(wish()))
        del effects[0]
        list(desk.promote("P1", "alice"))
        (void,) = [one for one in desk.kept.get("P1").why if one.startswith("approvals: ")]
        assert "the same code does something else to the nodes: 1 node differs; web1 gets two files" in void
        assert not any(fresh for _, fresh in seen)
        approved(desk, desk.looked("P1"))
        assert desk.kept.get("P1").state == "done" and seen[-1] == ("test", True)
    evidence = git(ladder.bare.path, "log", "-1", "--format=%(trailers:key=Evidence,valueonly)", "test")
    assert "nodes: 1 node differs\n" in evidence


def test_while_the_effect_is_not_known_a_promotion_waits(ladder: Ladder) -> None:
    """Where people approved it, or the branch requires it; what breaks nodes is refused, and leaves no objects."""
    known = OnNodes("one", "1 node differs")
    away = OnNodes("", "what it does to nodes is not known: puppetserver is away", (), "not checked: it is away")
    now = [known]

    def catalogs(objects: Incoming, rung: Rung, new: ObjectId, *, fresh: bool) -> OnNodes:
        return now[0]

    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    with ladder.desk(catalogs=catalogs) as desk:
        approved(desk, desk.propose(wish()))
        now[0] = away
        list(desk.promote("P1", "alice"))
        assert desk.kept.get("P1").state == "queued" and desk.kept.get("P1").why == ("effect: not checked: it is away",)
        list(desk.go_on("test"))
        assert desk.kept.get("P1").state == "queued"
        now[0] = known
        list(desk.go_on("test"))
        assert desk.kept.get("P1").state == "done"

        # Approved without it: it goes, unless the branch requires it; and not if it turns out to do something.
        ladder.write("project/red", {"manifests/site.pp": "# redder\n"})
        now[0] = away._replace(required=True)
        approved(desk, desk.propose(wish()))
        list(desk.promote("P2", "alice"))
        assert desk.kept.get("P2").state == "queued"
        now[0] = known
        list(desk.go_on("test"))
        assert desk.kept.get("P2").state == "proposed"
        assert "what it does to the nodes was not known then: 1 node differs" in desk.kept.get("P2").why[0]
        now[0] = away
        list(desk.promote("P2", "alice"))
        assert desk.kept.get("P2").state == "done"

        ladder.write("project/red", {"manifests/site.pp": "# reddest\n"})
        now[0] = OnNodes("two", "1 node no longer compiles", ("web1 would not compile any more: no such class",))
        broken = desk.propose(wish())
        assert broken.outcome == "refuse" and broken.facts.problems == now[0].problems
        missing = desk.preview(wish()).made.trial
        assert not Repository(str(ladder.bare.path)).has(missing)


def test_an_emergency_takes_a_reason_and_a_second_person(ladder: Ladder) -> None:
    ladder.configure(promotion={"rungs": rungs(soak_time="1h", sources=["test", "project/*"])})
    change = ladder.write("project/red", {"manifests/site.pp": "# hot fix\n"})
    words = ("promote", "project/red", "--to", "production", "--emergency", "--as", "olga")
    assert "--emergency needs --reason" in ladder.branch_manager(*words).stderr
    said = ladder.fails(*words, "--reason", "the site is down")
    assert "approvals: it has 0 of 1 approvals of operator" in said and ladder.shown("production") == "# first\n"
    with ladder.desk() as desk:
        with pytest.raises(NotAllowed, match="proposed it"):
            approved(desk, desk.looked("P1"), "olga")
        approved(desk, desk.looked("P1"), "otto")
        assert desk.kept.get("P1").state == "done"
    text = git(ladder.bare.path, "log", "-1", "--format=%B", "production")
    assert "Emergency: yes" in text and "Reason: the site is down" in text and "Approved-By: otto" in text
    assert git(ladder.bare.path, "rev-parse", "production^2") == change


def test_ended_by_people(ladder: Ladder) -> None:
    _change(ladder)
    with ladder.desk() as desk:
        desk.propose(wish())
        with pytest.raises(NotAllowed, match="bob did not propose it"):
            desk.withdraw("P1", "bob", "no")
        with pytest.raises(NotAllowed, match="may not reject"):
            desk.reject("P1", "bob", "no")
        assert desk.withdraw("P1", "alice", "a mistake").state == "withdrawn"
        desk.propose(wish())
        assert desk.reject("P2", "otto", "freeze").why == ("rejected by otto: freeze",)
        for id in ("P1", "P2"):
            with pytest.raises(Conflict, match="cannot be changed any more"):
                list(desk.promote(id, "olga"))


# Queues


def test_two_at_once_go_in_order_and_the_second_is_judged_on_the_first(ladder: Ladder) -> None:
    ladder.configure(promotion={"rungs": rungs()})
    git(ladder.bare.path, "update-ref", "refs/heads/topic/red/x", ladder.tip("project/red") or "")
    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    ladder.write("topic/red/x", {"data/common.yaml": "a: 2\n"})
    states = []

    def run(source: str) -> None:
        with ladder.desk() as desk:
            looked = desk.propose(wish(source, "test", "olga"))
            list(desk.promote(looked.promotion.id, "olga"))
            states.append(desk.kept.get(looked.promotion.id).state)

    threads = [threading.Thread(target=run, args=(source,)) for source in ("project/red", "topic/red/x")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["done", "done"]
    assert ladder.shown("test") == "# red\n" and ladder.shown("test", "data/common.yaml") == "a: 2\n"
    made = git(ladder.bare.path, "log", "--first-parent", "--format=%P", "test").splitlines()
    assert [len(line.split()) for line in made if line] == [2, 2]


def test_who_comes_second_waits_and_is_told_for_what(slapd: Slapd, noded: None, tmp_path: Path) -> None:
    ladder = Ladder(tmp_path / "ladder", slapd, rungs=rungs(sources=["test", "project/*"], soak_runs=1))
    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    second = ladder.write("project/red", {"data/common.yaml": "a: 2\n"})
    assert ladder.data(*_to("test"))["state"] == "done"
    with ladder.desk() as desk:
        for asked in (wish("test", "production", "olga"), wish("project/red", "production", "otto",
                                                             commits=(ObjectId(second),))):
            looked = desk.propose(asked)
            list(desk.promote(looked.promotion.id, asked.who))
        first, other = (desk.kept.get(id) for id in ("P2", "P3"))
        assert (first.state, other.state) == ("queued", "queued")
        assert "0 of 1 good runs" in first.why[0] and other.why == ("queue: it stands behind P2",)
        assert [one.id for one in desk.kept.queue("production")] == ["P2", "P3"]
        ladder.run_of("web1.example.org", "test", at=time.time() + 1)
        list(desk.go_on("production"))
        assert desk.kept.get("P2").state == "done"
        assert desk.kept.get("P3").state == "refused", "the first has brought it"


def test_what_cannot_be_looked_at_any_more_leaves_the_queue_to_others(
    slapd: Slapd, noded: None, tmp_path: Path
) -> None:
    """A project's branch that is put on a history of its own, while its promotion waits at the head of the queue."""
    ladder = Ladder(tmp_path / "ladder", slapd, rungs=rungs(sources=["project/*", "topic/*"]))
    git(ladder.bare.path, "update-ref", "refs/heads/topic/red/x", ladder.tip("test") or "")
    with ladder.desk() as desk:
        for branch in ("project/red", "topic/red/x"):
            ladder.write(branch, {f"data/{branch.replace('/', '_')}.yaml": "a: 2\n"})
        ladder.branch_manager("hold", "test", "--reason", "a pause")
        for branch in ("project/red", "topic/red/x"):
            looked = desk.propose(wish(branch, "test", "olga"))
            list(desk.promote(looked.promotion.id, "olga"))
        assert [one.id for one in desk.kept.queue("test")] == ["P1", "P2"]
        lonely = git(ladder.bare.path, "commit-tree", f"{ladder.tip('test')}^{{tree}}", "-m", "alone").strip()
        git(ladder.bare.path, "update-ref", "refs/heads/project/red", lonely)
        assert ladder.branch_manager("release", "test").returncode == 0
        said = list(desk.go_on("test"))
        assert any("P1 left the queue: it cannot be looked at" in one.text for one in said), said
        assert (desk.kept.get("P1").state, desk.kept.get("P2").state) == ("proposed", "done")


def test_one_person_cannot_fill_the_list(ladder: Ladder) -> None:
    commit = ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    with ladder.desk() as desk:
        first = desk.propose(wish()).promotion
        for _ in range(49):
            desk.kept.new(replace(first, commits=(ObjectId(commit),), way="pick"))
        other = ladder.write("project/red", {"data/common.yaml": "a: 2\n"})
        with pytest.raises(Conflict, match="alice has 50 proposals that are not over; withdraw some"):
            desk.propose(wish(commits=(ObjectId(other),)))
        assert desk.propose(wish(who="olga", commits=(ObjectId(other),))).promotion.id == "P51"
        desk.withdraw("P2", "alice", "not wanted")
        assert desk.propose(wish(pick=True)).promotion.id == "P52"


def test_only_whom_operators_trust_reports_checks(ladder: Ladder) -> None:
    """Over ssh everybody in a project has this command: not for their own change, nor against others'."""
    ladder.configure(promotion={"rungs": rungs(checks=["ci"])})
    ladder.write("test", {"manifests/site.pp": "# changed\n"}, author="otto")
    with ladder.desk() as desk:
        desk.propose(wish("test", "production", "olga"))
        for state in ("green", "red"):
            with pytest.raises(NotAllowed, match="alice may not report what a check found"):
                list(desk.report("P1", "ci", state, "alice"))
        assert desk.kept.get("P1").checks == {}
        list(desk.report("P1", "ci", "green", "olga"))
    ladder.configure(promotion={"rungs": rungs(checks=["ci"]), "reporters": ["bob"]})
    with ladder.desk() as desk:
        list(desk.report("P1", "ci", "red", "bob"))
        assert desk.kept.get("P1").checks["ci"].state == "red"


def test_a_name_in_other_letters_is_the_same_person(ladder: Ladder) -> None:
    """LDAP takes OLGA for olga: neither approves what the other proposed or pushed, nor twice."""
    ladder.configure(promotion={"rungs": [{"name": "test", "branch": "test", "approvals": 2}, TWO[1]]})
    ladder.write("project/red", {"manifests/site.pp": "# a\n"}, author="somebody", pusher="alice")
    with ladder.desk() as desk:
        looked = desk.propose(wish(who="olga"))
        with pytest.raises(NotAllowed, match="OLGA proposed it"):
            approved(desk, looked, "OLGA")
        approved(desk, looked, "otto")
        approved(desk, looked, "Otto")
        list(desk.promote("P1", "olga"))
        assert desk.kept.get("P1").state == "proposed", "that is one approval of two"
    ladder.write("project/red", {"manifests/site.pp": "# b\n"}, author="somebody", pusher="otto")
    with ladder.desk() as desk, pytest.raises(NotAllowed, match="OTTO pushed a commit of it"):
        approved(desk, desk.looked("P1"), "OTTO")


def test_a_few_characters_of_a_digest_approve_nothing(ladder: Ladder) -> None:
    """Whoever makes the source could find two trees that begin so."""
    ladder.write("project/red", {"manifests/site.pp": "# red\n"})
    with ladder.desk() as desk:
        effect = desk.propose(wish()).promotion.effect
        assert effect is not None
        for few in ("", effect.digest[:8], effect.digest[:16]):
            with pytest.raises(UsageError, match="at least 32 characters"):
                list(desk.approve("P1", "olga", few))
        shown = ladder.branch_manager("promotion", "show", "P1").stdout
        assert f"promotion approve P1 --effect {effect.digest[:32]}" in shown


def test_canary_nodes_get_it_first_and_failures_stop_it(slapd: Slapd, tmp_path: Path) -> None:
    from tests.support.transports import S

    top = {"canary_branch": "canary", "canaries": ["can*"], "watch_runs": 1, "watch_time": "1h"}
    ladder = Ladder(tmp_path / "ladder", slapd, rungs=rungs(**top))
    ladder.configure(branches={"rules": ["canary = canary", *RULES]})
    git(ladder.bare.path, "update-ref", "refs/heads/canary", ladder.tip("production") or "")
    assert ladder.branch_manager("deploy").returncode == 0
    name = "can1.example.org"
    entry = {"objectClass": ["device", "puppetClient"], "cn": name, "environment": "canary"}
    slapd.add(f"cn={name},ou=hosts,{S}", entry)
    words = _on_test(ladder)
    assert ladder.branch_manager(*words).returncode == 0
    assert ladder.shown("canary") == "# changed\n" and ladder.shown("production") == "# first\n"
    with ladder.desk() as desk:
        assert desk.kept.get("P2").state == "watching"
        ladder.run_of(name, "canary")
        list(desk.go_on("production"))
        assert desk.kept.get("P2").state == "done"
        assert ladder.shown("production") == "# changed\n"

        ladder.write("project/red", {"manifests/site.pp": "# bad\n"})
        assert ladder.data(*_to("test"))["state"] == "done"
        looked = desk.propose(wish("test", "production", "olga"))
        id = looked.promotion.id
        list(desk.promote(id, "olga"))
        assert ladder.shown("canary") == "# bad\n"
        ladder.run_of(name, "canary", "failed")
        list(desk.go_on("production"))
        stopped = desk.kept.get(id)
        assert stopped.state == "stopped" and f"the runs of {name} fail since then" in stopped.why[0]
    assert ladder.shown("canary") == "# changed\n" and ladder.shown("production") == "# changed\n"
    assert "held" in ladder.branch_manager("status", "canary").stdout


def test_large_patches_are_not_held_here(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    large = ["".join(f"{letter} {line}\n" for line in range(200_000)) for letter in "ab"]
    before = first = bare.commit("test", {"f": "x\n"})
    for number in range(12):
        before = bare.commit("test", {"f": large[number % 2]}, parent=before)
    with GitApart(str(bare.path)) as git_apart:
        tracemalloc.start()
        try:
            found = patch_ids(git_apart, [before], [first])
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(found) == 12 and len(set(found.values())) == 3, "there, forth and back"
    assert most < 1_000_000, "the patches have 40 MB"


# Undone, and kept out


def test_a_hold_keeps_the_change_out_however_it_comes(ladder: Ladder, tmp_path: Path) -> None:
    change = ladder.write("project/red", {"manifests/site.pp": "# red\n"}, "red: one")
    with ladder.desk() as desk:
        assert promoted(desk, wish()).state == "done"
        with pytest.raises(NotAllowed, match="alice is not an operator"):
            list(desk.reverting.revert(change, "alice", "no", None))
        list(desk.reverting.revert(change, "olga", "it burns", None))
        with pytest.raises(ToolkitError, match="reverted everywhere already"):
            list(desk.reverting.revert(change, "olga", "it burns", None))
        assert len(desk.holds.all()) == 2
    clone = Clone(tmp_path / "clone")
    hooks = hooks_served(ladder.configuration, ladder.settings.branches.store, tmp_path / "hooks.log")
    with ladder.serving(), hooks:
        assert clone.clone(ladder.url("olga"), "test").returncode == 0
        ways = (["revert", "--no-edit", "HEAD"], ["cherry-pick", change], ["checkout", change, "--", "manifests"])
        for words in ways:
            assert clone.git(*words).returncode == 0, words
            clone.git("commit", "-qam", "put it back")
            pushed = clone.git("push", "origin", "HEAD:test")
            assert pushed.returncode == 1 and "hold H2 of olga" in pushed.stderr, pushed.stderr
            clone.git("reset", "-q", "--hard", "origin/test")
        (clone.place / "data/common.yaml").write_text("a: 5\n")
        clone.git("commit", "-qam", "something else")
        other = clone.git("push", "origin", "HEAD:test")
        assert other.returncode == 0, other.stderr
        # To production comes the commit with its revert: the change is not there, so nothing is held off.
        assert clone.git("push", "origin", "HEAD:production").returncode == 0
        assert clone.git("push", "origin", f"{change}:refs/heads/topic/red/again").returncode == 0
    assert ladder.shown("production") == "# first\n" and ladder.shown("production", "data/common.yaml") == "a: 5\n"


def test_a_revert_that_conflicts_changes_nothing_and_still_holds_it_off(ladder: Ladder) -> None:
    change = ladder.write("project/red", {"manifests/site.pp": "# red\n"}, "red: one")
    with ladder.desk() as desk:
        promoted(desk, wish())
        ladder.write("test", {"manifests/site.pp": "# red, and more\n"}, "test: more", "otto")
        (remark,) = desk.reverting.revert(change, "olga", "it burns", None)
        assert remark.wrong and "conflict: it does not merge with test: manifests/site.pp" in remark.text
        assert [one.holds for one in desk.holds.all()] == [True, True]
    assert ladder.shown("test") == "# red, and more\n"


# Kills, and what is found afterwards


def _killed(ladder: Ladder, step: int, work: Callable[[Any], object]) -> bool:
    """Do `work` with a desk in a process that is killed at a step; tell whether it got that far."""

    def run() -> None:
        steps = count()

        def at(_: str) -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        with ladder.desk(at=at) as desk:
            work(desk)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def test_killed_at_every_step_the_next_one_finishes(ladder: Ladder) -> None:
    ladder.configure(promotion={"rungs": rungs()})
    for step in count():
        ladder.write("project/red", {"manifests/site.pp": f"# {step}\n"}, f"red: {step}")
        with ladder.desk() as desk:
            id = desk.propose(wish(who="olga")).promotion.id
        killed = _killed(ladder, step, lambda desk: list(desk.promote(id, "olga")))  # noqa: B023
        with ladder.desk() as desk:
            if desk.kept.get(id).state == "proposed":
                list(desk.promote(id, "olga"))
            list(desk.go_on("test"))
            assert desk.kept.get(id).state == "done", step
        assert ladder.shown("test") == f"# {step}\n"
        form = "%(trailers:key=Promotion,valueonly,separator=)"
        made = git(ladder.bare.path, "log", "--first-parent", f"--format={form}", "test")
        assert made.splitlines().count(id) == 1, step
        if not killed:
            break
    assert step >= 6


def test_a_revert_killed_at_every_step_is_finished_by_the_next(ladder: Ladder) -> None:
    ladder.configure(promotion={"rungs": rungs()})
    for step in count():
        change = ladder.write("project/red", {f"data/{step}.yaml": "a: 1\n"}, f"red: {step}")
        with ladder.desk() as desk:
            id = desk.propose(wish(who="olga")).promotion.id
            list(desk.promote(id, "olga"))
        killed = _killed(ladder, step, lambda desk: list(desk.reverting.revert(change, "olga", "no", None)))  # noqa: B023
        with ladder.desk() as desk:
            list(desk.go_on("test"))
            try:
                list(desk.reverting.revert(change, "olga", "no", None))
            except ToolkitError as error:
                assert "reverted everywhere already" in str(error)
            assert len(desk.holds.of(desk.kept.get(id).branch)) == step + 1
            assert not [one for one in desk.kept.all() if one.state in ("moving", "moved", "queued")]
        assert not (ladder.settings.branches.environments / f"test/data/{step}.yaml").exists()
        if not killed:
            break
    assert step >= 7


def test_the_services_chore_finishes_what_was_left(ladder: Ladder) -> None:
    from git_hooks.push.service import Service
    from git_hooks.upkeep.chores import promotions

    ladder.configure(promotion={"rungs": rungs(), "metrics_file": str(ladder.base / "promotion.prom")})
    _change(ladder)
    with ladder.desk() as desk:
        desk.propose(wish(who="olga"))
    assert _killed(ladder, 5, lambda desk: list(desk.promote("P1", "olga")))
    with ladder.desk() as desk:
        assert desk.kept.get("P1").state == "moving"
    with Service(ladder.configuration).workplace() as place:
        remarks = list(promotions(place))
        place.close()
    assert [one.subject for one in remarks] == ["P1"] and ladder.shown("test") == "# changed\n"
    metrics = (ladder.base / "promotion.prom").read_text()
    assert 'puppetmaster_promotion_landed{rung="test",way="merge"} 1' in metrics


def test_doctor_names_what_is_stuck(ladder: Ladder) -> None:
    ladder.configure(promotion={"rungs": [*rungs(), {"name": "later", "branch": "later"}], "stuck_after": "1s"})
    ladder.configure(branches={"rules": ["later = later", *RULES]})
    _change(ladder)
    with ladder.desk() as desk:
        list(desk.promote(desk.propose(wish(who="olga")).promotion.id, "olga"))
        ladder.branch_manager("hold", "test", "--reason", "freeze")
        ladder.write("project/red", {"data/common.yaml": "a: 2\n"})
        list(desk.promote(desk.propose(wish(who="olga")).promotion.id, "olga"))
        assert desk.kept.get("P2").state == "queued"
    (ladder.bare.path / "puppetmaster/promotion/P9.json").write_text("{")
    time.sleep(1.1)
    found = {(one.id, one.found.split(":")[0]) for one in doctor.check(ladder.loaded())}
    assert ("promotion-rungs", "rung later") in found and ("promotions", "P9 cannot be read") in found
    assert any(re.match(r"P2 has waited for test for \d+s", text) for _, text in found), found
