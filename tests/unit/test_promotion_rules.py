"""The rules of a rung, as a table; states, provenance, rungs, and what forges answer: all without a repository."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from enc.settings import Duration, ReviewSettings, RungSettings, config
from enc.terms.environments import Rules
from enc.terms.errors import ConfigurationError, Conflict, NotFound, ToolkitError, UsageError
from enc.terms.names import BranchName
from git_hooks.promotion import provenance, rules
from git_hooks.promotion.evidence import evidence
from git_hooks.promotion.gauges import text
from git_hooks.promotion.kept import NEW, Approval, Check, Effect, Promotion, Promotions
from git_hooks.promotion.people import pushers
from git_hooks.promotion.provenance import Provenance
from git_hooks.promotion.reviews.asking import Reviews
from git_hooks.promotion.rules import RULES, Facts, Given
from git_hooks.promotion.rungs import named, rungs
from git_hooks.promotion.states import FOLLOWS, LANDED, OPEN, OWED, UNDER_WAY, State
from git_hooks.push.patch_holds import PatchHold, PatchHolds
from git_hooks.push.pushed import Pushed
from git_hooks.repository.refs import ObjectId

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests/cases/promotion.yaml").read_text(encoding="utf-8"))
COMMIT, OTHER = ObjectId("1" * 40), ObjectId("2" * 40)
GOOD = Facts(
    now=10_000.0,
    source="project/red",
    sources="test",
    proposer="alice",
    proposer_roles=("projectadmin",),
    may_move=("olga",),
    approvals=(Given("olga", "e", ("operator",)),),
    effect="e",
    emergency_roles=("operator",),
)


def rung(settings: dict[str, Any]) -> RungSettings:
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    if "soak_time" in known:
        known["soak_time"] = Duration.parse(known["soak_time"])
    return RungSettings("test", BranchName("test"), **known)


def facts(differing: dict[str, Any]) -> Facts:
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in differing.items()}
    if "approvals" in known:
        known["approvals"] = tuple(
            Given(**{**one, "roles": tuple(one.get("roles", ()))}) for one in known["approvals"]
        )
    return GOOD._replace(**known)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_the_rules_say(case: dict[str, Any]) -> None:
    verdicts = rules.judge(facts(case.get("facts", {})), rung(case.get("rung", {})), reverts=case.get("revert", False))
    assert rules.outcome(verdicts) == case["end"]
    assert [one.rule for one in verdicts if one.why] == case["rules"]
    assert case.get("says", "") in "; ".join(rules.reasons(verdicts))


def test_the_table_has_every_rule_and_is_large_enough() -> None:
    assert len(CASES) >= 40
    assert {rule for case in CASES for rule in case["rules"]} == {rule.name for rule in RULES}


def test_every_rule_stands_in_the_docs() -> None:
    page = (ROOT / "docs/promotion.md").read_text()
    ends = {"refuse": "refused", "propose": "stays proposed", "wait": "waits"}
    rows = dict.fromkeys(line for line in page.splitlines() if line.startswith("| `"))
    for rule in RULES:
        begins, closes = f"| `{rule.name}` |", f"| {ends[rule.end]} |"
        (row,) = [line for line in rows if line.startswith(begins) and line.endswith(closes)]
        assert rule.text.partition(" (")[0].rstrip(".") in row
    assert all(f"`{state}`" in page for state in get_args(State))


def test_a_rule_is_rehearsed_on_what_went() -> None:
    past = [("P1", GOOD), ("P2", facts({"approvals": [{"who": "a", "effect": "e", "roles": ["operator"]}] * 1}))]
    name, tried = rules.tried("approvals=2", rung({}))
    found = rules.rehearse(name, tried, past)
    assert found.looked_at == 2 and [id for id, _ in found.refused] == ["P1", "P2"]
    name, tried = rules.tried("soak_time=2h", rung({}))
    assert (name, tried.soak_time) == ("soak", 7200.0)
    assert rules.tried("checks=ci,lint", rung({}))[1].checks == ("ci", "lint")
    assert rules.rehearse("soak", tried, [("P3", GOOD._replace(emergency=True))]).looked_at == 0
    for wrong in ("nothing", "name=x", "approvals=-1", "approvals=x", "soak_time=long", "approvals=99999999999"):
        with pytest.raises(UsageError):
            rules.tried(wrong, rung({}))


def test_states_lead_to_an_end() -> None:
    every = set(get_args(State))
    assert set(FOLLOWS) == every
    assert {state for state, follows in FOLLOWS.items() if not follows} == every - set(OPEN)
    assert set(OWED) <= set(UNDER_WAY) <= set(OPEN) and set(LANDED) <= every
    reached, coming = set[str](), ["proposed"]
    while coming:
        state = coming.pop()
        if state not in reached:
            reached.add(state)
            coming += FOLLOWS[state]  # type: ignore[index]
    assert reached == every


def test_provenance_is_read_as_it_was_written_and_nothing_else_is() -> None:
    said = Provenance(
        "P1", f"project/red@{COMMIT}", "test", "alice", "alice", ("olga", "otto"), "e" * 64, ("tree: well", "soak: x"),
        "T1\nPromoted-By: mallory", str(OTHER), (str(COMMIT),), True,
    )
    written = provenance.message("subject\n\nPromotion: P9\nPromoted-To: test\nPromoted-By: mallory", said)
    assert provenance.read(written) == said._replace(reason="T1\\nPromoted-By: mallory")
    for foreign in (
        "subject",
        "",
        "subject\n\nPromoted-To: test",
        f"{written}\n\nbody",
        "subject\n\nSigned-off-by: a\nPromotion: P1\nPromoted-To: test",
    ):
        assert provenance.read(foreign) is None
    assert evidence(GOOD, rung({"checks": ["ci"]})) == (
        "tree: passed what a push must pass", "check ci: green", "approvals: 1 of 1"
    )


def test_rungs_are_what_the_rules_of_branches_name() -> None:
    settings = config.parse("{}")
    assert [one.name for one in rungs(settings)] == ["test", "production"]
    test, production = rungs(settings)
    known = Rules(settings.branches.rules)
    assert test.takes(BranchName("project/red"), known) and not test.takes(BranchName("test"), known)
    assert production.takes(BranchName("test"), known) and not production.takes(BranchName("project/red"), known)
    assert test.takes(BranchName("review/red/x"), known) and not test.takes(BranchName("nothing"), known)
    with pytest.raises(UsageError, match="known: test, production"):
        named("tset", settings)
    with pytest.raises(ConfigurationError, match="is not a branch of the site"):
        rungs(config.parse("promotion: {rungs: [{name: x, branch: project/red}]}"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rungs: [{name: a b, branch: test}]", "is not a rung's name"),
        ("rungs: [{name: a, branch: test}, {name: a, branch: production}]", "two rungs have the name a"),
        ("rungs: [{name: a, branch: test}, {name: b, branch: test}]", "two rungs have the branch test"),
        ("rungs: [{name: a, branch: test, watch_runs: 1}]", "say how long"),
        ("rungs: [{name: a, branch: test, canary_branch: test, watch_runs: 1, watch_time: 1h}]", "the rung's own"),
        ("rungs: [{name: a, branch: test, canary_branch: c, watch_time: 1h}]", "say how many good runs"),
        ("rungs: [{branch: test}]", "needs name"),
        ("rungs: [{name: a, branch: test, approvals: 0}]", "a whole number above 0"),
        ("review: {forge: github, project: a/b}", "needs the address"),
        ("review: {forge: github, api: 'http://forge.example.org/x', project: a/b}", "must be https"),
        ("review: {forge: github, api: 'https://forge.example.org'}", "needs the repository's name"),
        ("review: {forge: sourceforge}", "one of github, gitea, gitlab, gerrit"),
        ("review: {forge: github, api: 'https://f', project: a/b, people: [x]}", "is not ACCOUNT = UID"),
    ],
)
def test_settings_that_cannot_be(text: str, says: str) -> None:
    assert says in " ".join(config.examine(f"promotion: {{{text}}}", "x").faults)


def test_a_promotion_is_kept_as_it_is(tmp_path: Path) -> None:
    kept = Promotions(str(tmp_path))
    seen = Effect("d", COMMIT, OTHER, "t")
    one = Promotion(
        NEW, "test", BranchName("test"), BranchName("project/red"), "merge", "alice", "T1", 1.0, effect=seen,
        approvals=(Approval("olga", seen, 2.0),), checks={"ci": Check("green", OTHER, "olga", 3.0)}, old=COMMIT,
        new=OTHER, commits=(OTHER,), why=("a: b",), facts=facts({"checks": {"ci": "green"}}),
    )
    first, second = kept.new(one), kept.new(one)
    assert (first.id, second.id) == ("P1", "P2") and kept.get("P1") == first
    with pytest.raises(Conflict):
        first.become("done")
    (tmp_path / "puppetmaster/promotion/P2.json").write_text("[]")
    (tmp_path / "puppetmaster/promotion/P03.json").write_text("{}")
    assert kept.damaged() == ("P2",) and [one.id for one in kept.all()] == ["P1"]
    with pytest.raises(ToolkitError, match="damaged"):
        kept.get("P2")
    for id in ("P3", "p1", "P0", "P1/../P1", "", "P" + "9" * 40):
        with pytest.raises(NotFound):
            kept.get(id)
    queued = replace(first, state="queued", queued=5.0)
    kept.keep(queued)
    assert kept.queue("test") == (queued,) and kept.queue("production") == ()
    told = text(kept.all(), (), 10.0)
    assert 'puppetmaster_promotion_open{rung="test",state="queued"} 1' in told


def test_holds_are_kept_until_they_are_lifted(tmp_path: Path) -> None:
    holds = PatchHolds(str(tmp_path))
    one = PatchHold("", BranchName("test"), ("a",), (COMMIT,), "red", "olga", "no", 1.0, 2.0)
    assert [made.id for made in holds.add([one, one._replace(branch=BranchName("production"))])] == ["H1", "H2"]
    assert [made.id for made in holds.add([one])] == ["H1"], "the same is not held twice"
    assert [made.id for made in holds.of(BranchName("test"))] == ["H1"], "its end has passed, and it holds"
    holds.lift("H1", "otto", "mended", 3.0)
    assert holds.of(BranchName("test")) == () and len(holds.all()) == 2
    with pytest.raises(NotFound):
        holds.lift("H1", "otto", "again", 4.0)
    assert [made.id for made in holds.add([one])] == ["H3"]
    (tmp_path / "puppetmaster/promotion/holds.json").write_text("{")
    with pytest.raises(ToolkitError, match="correct or remove it"):
        holds.of(BranchName("test"))


def test_who_pushed_any_of_it() -> None:
    zero = "0" * 40
    pushes = [
        Pushed("refs/heads/a", zero, COMMIT, "anna", 1.0),
        Pushed("refs/heads/a", COMMIT, OTHER, "bert", 2.0),
        Pushed("refs/heads/b", zero, "3" * 40, "carl", 3.0),
        Pushed("refs/heads/b", zero, "4" * 40, "dora", 3.0),
    ]
    brought = {"3" * 40: [COMMIT]}
    found = pushers(pushes, [COMMIT], lambda _, new: brought.get(new, []))
    assert found == {"anna", "carl"}


# Forges: small servers with the documented answers


@contextmanager
def forge(answers: dict[str, Any], status: int = 200) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Give the address of a server that answers with these documents (or texts), and what it was asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            found = answers.get(self.path)
            content = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(404 if self.path not in answers else status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pull(commit: str = COMMIT, base: str = "test", head: str = "project/red", state: str = "open") -> dict[str, Any]:
    return {"number": 7, "state": state, "base": {"ref": base}, "head": {"ref": head, "sha": commit}}


def review(who: str, state: str, commit: str | None = COMMIT, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "user": {"login": who}, "state": state, "commit_id": commit, **more}


GITHUB = f"/repos/site/puppet/commits/{COMMIT}/pulls?per_page=100"
GITHUB_REVIEWS = "/repos/site/puppet/pulls/7/reviews?per_page=100&page=1"
GITEA = "/repos/site/puppet/pulls?state=open&limit=50&page=1"
GITEA_REVIEWS = "/repos/site/puppet/pulls/7/reviews?limit=50"
GITLAB = "/projects/site%2Fpuppet/merge_requests"
GITLAB_LIST = f"{GITLAB}?state=opened&source_branch=project%2Fred&target_branch=test"
GERRIT = f"/a/changes/?q=commit:{COMMIT}&o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=CURRENT_REVISION"


def gerrit(value: int, commit: str = COMMIT, branch: str = "test", status: str = "NEW") -> str:
    votes = {"Code-Review": {"all": [{"username": "Olga", "value": value, "date": "2026"}, {"value": 0}]}}
    change = {"_number": 9, "project": "site/puppet", "branch": branch, "status": status, "current_revision": commit}
    return ")]}'\n" + json.dumps([{**change, "labels": votes}])


@pytest.mark.parametrize(
    ("kind", "answers", "who"),
    [
        ("github", {GITHUB: [pull()], GITHUB_REVIEWS: [review("Olga", "APPROVED")]}, ["olga"]),
        ("github", {GITHUB: [pull()], GITHUB_REVIEWS: [review("Olga", "APPROVED", OTHER)]}, []),
        ("github", {GITHUB: [pull()], GITHUB_REVIEWS: [review("Olga", "APPROVED", None)]}, []),
        ("github", {GITHUB: [pull(base="other")]}, []),
        ("github", {GITHUB: [pull(state="closed")]}, []),
        ("github", {GITHUB: []}, []),
        (
            "github",
            {
                GITHUB: [pull()],
                GITHUB_REVIEWS: [review("Olga", "APPROVED"), review("Olga", "CHANGES_REQUESTED", number=2)],
            },
            [],
        ),
        (
            "github",
            {GITHUB: [pull()], GITHUB_REVIEWS: [review("Olga", "APPROVED"), review("Olga", "COMMENTED", number=2)]},
            ["olga"],
        ),
        ("gitea", {GITEA: [pull()], GITEA_REVIEWS: [review("Olga", "APPROVED", dismissed=False)]}, ["olga"]),
        ("gitea", {GITEA: [pull()], GITEA_REVIEWS: [review("Olga", "APPROVED", dismissed=True)]}, []),
        ("gitea", {GITEA: [pull()], GITEA_REVIEWS: [review("Olga", "APPROVED", OTHER)]}, []),
        ("gitea", {GITEA: [pull(OTHER)]}, []),
        (
            "gitlab",
            {GITLAB_LIST: [{"iid": 7, "sha": COMMIT}],
             f"{GITLAB}/7/approvals": {"approved_by": [{"user": {"username": "Olga"}}]}},
            ["olga"],
        ),
        ("gitlab", {GITLAB_LIST: [{"iid": 7, "sha": OTHER}]}, []),
        ("gerrit", {GERRIT: gerrit(2)}, ["olga"]),
        ("gerrit", {GERRIT: gerrit(1)}, []),
        ("gerrit", {GERRIT: gerrit(-2)}, []),
        ("gerrit", {GERRIT: gerrit(2, OTHER)}, []),
        ("gerrit", {GERRIT: gerrit(2, branch="other")}, []),
        ("gerrit", {GERRIT: gerrit(2, status="ABANDONED")}, []),
    ],
)
def test_approvals_are_read_at_the_forge(kind: str, answers: dict[str, Any], who: list[str], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("robot:s3cret\n")
    token.chmod(0o600)
    with forge(answers) as (address, asked):
        settings = ReviewSettings(kind, address, "site/puppet", token, ("Olga = olga",))
        found = Reviews(settings).approvals(BranchName("project/red"), COMMIT, BranchName("test"))
    assert [one.who for one in found] == who
    assert all(one.via.startswith(f"{kind} Olga ") for one in found)
    shown = {"github": "authorization", "gitea": "authorization", "gitlab": "private-token", "gerrit": "authorization"}
    assert asked and all(headers[shown[kind]] for _, headers in asked)


@pytest.mark.parametrize(
    ("answers", "status", "says"),
    [
        ({}, 200, "404"),
        ({GITHUB: {"message": "no"}}, 200, "is not as github documents it"),
        ({GITHUB: "<html>"}, 200, "is not as github documents it"),
        ({GITHUB: [{"number": 7}]}, 200, "is not as github documents it"),
        ({GITHUB: []}, 302, "302"),
        ({GITHUB: []}, 500, "500"),
    ],
)
def test_a_forge_that_answers_otherwise_has_approved_nothing(answers: dict[str, Any], status: int, says: str) -> None:
    with forge(answers, status) as (address, asked):
        reviews = Reviews(ReviewSettings("github", address, "site/puppet"))
        with pytest.raises(ToolkitError, match=says):
            reviews.approvals(BranchName("project/red"), COMMIT, BranchName("test"))
    assert len(asked) == 1, "redirects are not followed"
