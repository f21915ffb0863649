"""What members push runs on the master only as operators' branches have it, or as an operator approved it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_hooks.cli import main
from git_hooks.push import policy
from git_hooks.push.approvals import Approval, Approvals
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import git
from tests.support.clocks import counted_since_1970
from tests.support.pushes import RULES, ManagedRepository, Pushed, populate

RUBY = "modules/m/lib/puppet/functions/own.rb"
ERB = "modules/m/templates/x.erb"
SITE = "manifests/site.pp"
RUNS = "\nnode default { notify { generate('/usr/bin/id'): } }\n"
CODE = "Puppet::Functions.create_function(:own) { def own; 1; end }\n"


@pytest.fixture(scope="module")
def managed(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedRepository]:
    slapd = make_module_slapd()
    populate(slapd)
    site = ManagedRepository(tmp_path_factory.mktemp("reviewed") / "site", slapd)
    trust(site, "reviewed", rules=[*RULES, "review/<name>/<topic> = -"])
    with site.serving():
        yield site


@pytest.fixture
def site(managed: ManagedRepository) -> Iterator[ManagedRepository]:
    yield managed
    managed.reset()
    (managed.base / "store/approvals.json").unlink(missing_ok=True)


def trust(site: ManagedRepository, code: str, **branches: object) -> None:
    document = yaml.safe_load(site.configuration.read_text())
    document["branches"] |= {"members_code": code, **branches}
    site.configuration.write_text(yaml.safe_dump(document))


def push(site: ManagedRepository, files: dict[str, Any], ref: str = "project/red", who: str = "mia") -> Pushed:
    return site.push([{"ref": ref, "files": files}], who=who)


def branch_manager(site: ManagedRepository, *words: str) -> int:
    return main(["--config", str(site.configuration), *words])


def test_harmless_code_is_taken(site: ManagedRepository) -> None:
    done = push(site, {SITE: "include m", "modules/m/manifests/init.pp": "class m { file { '/x': } }"})
    assert done.status == 0, done.output


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (SITE, RUNS, f"{SITE}: line 2: generate() runs a program on the master"),
        (RUBY, CODE, f"{RUBY}: puppetserver loads what is below lib/ as Ruby"),
        (ERB, "<%= 1 %>", f"{ERB}: puppetserver evaluates what is below templates/ as ERB"),
        ("environment.conf", "config_version = a.sh\n", "environment.conf: line 1: a config_version is a program"),
        ("hiera.yaml", "version: 5\nhierarchy: [{name: a, path: /etc/x}]\n", "hiera.yaml: level 1 of hierarchy has"),
        ("modules/m/lib", "-> ../../files", "modules/m/lib: the link makes puppetserver read files as Ruby"),
        (SITE, "class a {", f"{SITE}: Syntax error"),
        ("modules/m/files/own.rb", "x", "own.rb: Puppet code can make puppetserver load any file named *.rb"),
        ("environment.conf", "manifest = files/x\n", "files/x: is a file whose name does not end in .pp that"),
        ("environment.conf", "manifest = ./files/x/\n", "files/x: is a file whose name does not end in .pp that"),
    ],
)
def test_what_would_run_is_refused_with_file_and_line(
    site: ManagedRepository, path: str, content: str, said: str
) -> None:
    done = push(site, {path: content, "files/x": "y"})
    assert done.status and not done.moved and said in done.output


def test_what_becomes_the_manifest_later_is_seen_then(
    site: ManagedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = {"environment.conf": "manifest = code\n"}
    tree = site.bare.tree({**conf, "files": {"x": RUNS}})
    shown = site.bare.commit_tree("project/red", tree, parent=site._before["refs/heads/project/red"])
    assert branch_manager(site, "audit-code", "project/red") == 0
    for what in (RUNS, "-> files/x", "-> files"):
        mode = "120000" if what.startswith("-> ") else "100644"
        blob = git(site.bare.path, "hash-object", "-w", "--stdin", stdin=what.removeprefix("-> ").encode())
        listed = git(site.bare.path, "ls-tree", tree) + f"\n{mode} blob {blob}\tcode\n"
        new = git(site.bare.path, "mktree", stdin=listed.encode())
        commit = git(site.bare.path, "commit-tree", new, "-p", shown, "-m", "x")
        done = site.push([{"ref": "project/red", "to": commit}])
        assert done.status and "code: is a" in done.output and "environment.conf has" in done.output, done.output
    site.bare.commit_tree("project/red", new, parent=shown)
    assert branch_manager(site, "audit-code", "project/red") == 4
    assert "code: is a link that environment.conf" in capsys.readouterr().out
    site.reset()
    deep = {"environment.conf": "manifest = a/b\n", "files/b": RUNS, "a": "-> files"}
    assert "a: is a link that environment.conf" in push(site, deep).output
    assert push(site, {**conf, "code": RUNS}, ref="test", who="olga").status == 0
    assert push(site, {**conf, "code": RUNS}).status == 0, "it is reviewed"
    assert push(site, {**conf, "code/a.pp": "include m"}, ref="topic/red/new").status == 0


def test_operators_branches_bring_what_they_like(site: ManagedRepository) -> None:
    done = push(site, {SITE: RUNS, RUBY: CODE, ERB: "<%= 1 %>"}, ref="test", who="olga")
    assert done.status == 0, done.output


def test_what_a_reviewed_branch_has_is_taken_byte_for_byte(site: ManagedRepository) -> None:
    reviewed = {RUBY: CODE, ERB: "<%= 1 %>", SITE: RUNS}
    commit = push(site, reviewed, ref="test", who="olga").moved["refs/heads/test"]
    assert push(site, reviewed).status == 0
    assert push(site, {**reviewed, RUBY: CODE + "# more\n"}).status != 0
    assert push(site, {"modules/other/lib/puppet/functions/own.rb": CODE}).status != 0, "another path is another thing"
    # The site's branch goes on; a merge of what it had stays reviewed.
    for ref in ("refs/heads/test", "refs/heads/project/red"):
        git(site.bare.path, "update-ref", ref, site._before[ref])
    assert push(site, reviewed).status != 0
    git(site.bare.path, "update-ref", "refs/heads/test", commit or "")
    later = push(site, {ERB: "<%= 2 %>"}, ref="production", who="olga")
    assert later.status == 0
    assert site.push([{"ref": "topic/red/merge", "to": commit}]).status == 0


def test_what_comes_with_a_reviewed_branch_in_one_push_is_reviewed(site: ManagedRepository) -> None:
    both = [{"ref": ref, "files": {RUBY: CODE}} for ref in ("test", "project/red")]
    assert site.push(both, who="olga").status == 0


def test_an_approval_counts_for_one_content_at_one_path_until_it_ends(
    site: ManagedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = git(site.bare.path, "hash-object", "--stdin", stdin=CODE.encode())  # it is not in the repository
    read = site.base / "own.rb"
    read.write_text(CODE)
    given = ("--until", "2199-01-01", "--reason", "read by olga")
    assert branch_manager(site, "approve", RUBY, "--file", str(read), *given) == 0
    (first,) = Approvals(site.settings.branches.store).all()
    assert branch_manager(site, "approve", RUBY, "--blob", blob, *given) == 0
    assert [one.blob for one in Approvals(site.settings.branches.store).all()] == [first.blob] == [blob]
    assert push(site, {RUBY: CODE}).status == 0
    assert push(site, {RUBY: CODE + "\n"}).status != 0
    capsys.readouterr()
    assert branch_manager(site, "approve", "--list", "--json") == 0
    (listed,) = json_contract.held("branch-manager", ["approve"], capsys.readouterr().out)["approvals"]
    assert (listed["path"], listed["blob"], listed["reason"]) == (RUBY, blob, "read by olga")
    assert branch_manager(site, "approve", RUBY, "--revoke", "--reason", "no more") == 0
    site.reset()
    assert push(site, {RUBY: CODE}).status != 0
    now = time.time()
    Approvals(site.settings.branches.store).add(Approval(RUBY, blob, "over", "olga", now - 9, now - 1))
    assert push(site, {RUBY: CODE}).status != 0


@pytest.mark.parametrize(
    "words",
    [
        (RUBY, "--reason", "x"),
        (RUBY, "--on", "test", "--reason", "x"),
        ("manifests", "--on", "test", "--reason", "x"),
        (SITE, "--on", "test"),
        (SITE, "--on", "test", "--until", "2001-01-01", "--reason", "x"),
        (RUBY, "--blob", "0" * 39, "--reason", "x"),
        (RUBY, "--file", "/nonexistent", "--reason", "x"),
        (RUBY, "--revoke", "--reason", "x"),
        ("--reason", "x"),
    ],
)
def test_an_approval_of_nothing_is_refused(
    site: ManagedRepository, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert branch_manager(site, "approve", *words) != 0
    assert capsys.readouterr().err.count("\n") == 1
    assert Approvals(site.settings.branches.store).all() == ()


def test_an_audit_finds_what_was_there_before(site: ManagedRepository, capsys: pytest.CaptureFixture[str]) -> None:
    assert branch_manager(site, "audit-code") == 0
    capsys.readouterr()
    tree = site.bare.tree({"manifests": {"site.pp": RUNS}, "modules": {"m": {"templates": {"x.erb": "<%= 1 %>"}}}})
    site.bare.commit_tree("project/red", tree, parent=site._before["refs/heads/project/red"])
    assert branch_manager(site, "audit-code", "project/red", "--json") == 4
    (found,) = json_contract.held("branch-manager", ["audit-code"], capsys.readouterr().out)["branches"]
    assert [one.split(":")[0] for one in sorted(found["problems"])] == [SITE, ERB]
    assert branch_manager(site, "audit-code", "nowhere/x") != 0


def test_a_site_that_trusts_its_members_takes_all(make_module_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_module_slapd()
    populate(slapd)
    site = ManagedRepository(tmp_path / "site", slapd)
    assert push(site, {SITE: RUNS, RUBY: CODE}).status == 0
    site.reset()
    trust(site, "reviewed", ruby="/bin/false")
    done = push(site, {SITE: "include a"})
    assert done.status and "Puppet code cannot be read" in done.output, "a hook that cannot decide refuses"
    assert push(site, {"files/x": "y"}).status == 0


def test_a_puppetfile_brings_no_module_that_operators_have_not(site: ManagedRepository) -> None:
    program = {"program": "/usr/bin/r10k", "sources": ["https://example.org/"]}
    trust(site, "reviewed", puppetfile=program)
    try:
        mine = "mod 'puppetlabs-stdlib', '9.4.1'\n"
        done = push(site, {"Puppetfile": mine})
        assert done.status and "Puppetfile: asks for the module stdlib, which no reviewed branch" in done.output
        assert push(site, {"Puppetfile": mine + "mod 'puppetlabs-apt', '9.0.0'\n"}, ref="test", who="olga").status == 0
        assert push(site, {"Puppetfile": mine}).status == 0
        assert push(site, {"Puppetfile": mine.replace("9.4.1", "9.4.0")}).status != 0
    finally:
        trust(site, "reviewed", puppetfile={})


def test_what_operators_call_stays_when_members_change_what_comes_after_it(site: ManagedRepository) -> None:
    code = "class m {\n  $k = file('/etc/hostname')\n  notify { 'a': }\n}\n"
    path = "modules/m/manifests/init.pp"
    assert push(site, {path: code}, ref="test", who="olga").status == 0
    assert push(site, {path: code.replace("'a'", "'b'")}).status == 0
    for changed in (code.replace("$k =", "$j ="), code.replace("hostname", "passwd"), f"fail('x')\n{code}".upper()):
        assert push(site, {path: changed}, ref="topic/red/other").status != 0


REVIEW = "review/red/sum"


def test_code_is_proposed_where_puppetserver_does_not_see_it(
    site: ManagedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = push(site, {RUBY: CODE})
    assert "push it to review/red/TOPIC and ask an operator to read it" in refused.output
    done = push(site, {RUBY: CODE, SITE: RUNS}, ref=REVIEW)
    assert done.status == 0, done.output
    assert f"{REVIEW}: stored at" in done.output and f"branch-manager audit-code {REVIEW}" in done.output
    assert not [path for path in (site.base / "environments").iterdir() if "sum" in path.name]
    # What is there is no reviewed code, for a new branch that begins with it neither.
    tip = done.moved[f"refs/heads/{REVIEW}"]
    for ref in ("project/red", "topic/red/new"):
        assert "puppetserver loads what is below lib/" in site.push([{"ref": ref, "to": tip}], who="anna").output
    # An operator looks at it, and lets it in: one file, or all.
    assert branch_manager(site, "audit-code", REVIEW) == 4
    found = capsys.readouterr().out
    assert f"{REVIEW}: {RUBY}: puppetserver loads" in found and f"{REVIEW} is at {tip}" in found
    assert "it needs review" in found and "push it to" not in found, "it is there already"
    assert branch_manager(site, "audit-code") == 0, "what members show has none of it"
    capsys.readouterr()
    assert branch_manager(site, "list") == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if REVIEW in line)
    assert row.startswith("-") and "for review" in row
    assert branch_manager(site, "list", "--json") == 0
    (found,) = json_contract.held("branch-manager", ["list"], capsys.readouterr().out)["proposals"]
    assert (found["branch"], found["project"]) == (REVIEW, "red")
    # By what was read: a branch of members may have moved since.
    assert push(site, {RUBY: CODE + "# evil\n"}, ref=REVIEW, who="anna").status == 0
    for moves in (REVIEW, f"refs/heads/{REVIEW}", f"heads/{REVIEW}", f"{REVIEW}~0", f"{REVIEW}^{{commit}}", "HEAD"):
        assert branch_manager(site, "approve", RUBY, "--on", moves, "--reason", "read it") == 2, moves
    assert f"{REVIEW}: is not a branch of the site" in capsys.readouterr().err
    assert branch_manager(site, "approve", RUBY, "--on", str(tip), "--reason", "read it") == 0
    assert push(site, {RUBY: CODE}).status == 0
    assert site.push([{"ref": "test", "to": tip}], who="olga").status == 0
    assert push(site, {SITE: RUNS}, ref="topic/red/after").status == 0


@pytest.mark.parametrize(
    ("who", "ref", "files", "said"),
    [
        ("bert", REVIEW, {SITE: "x"}, "bert is not a member of project red"),
        ("mia", "review/none/x", {SITE: "x"}, "mia is not a member of project none"),
        ("olga", "review/none/x", {SITE: "x"}, "there is no project none in LDAP"),
        ("mia", "review/red/a/b", {SITE: "x"}, "no rule makes an environment"),
        ("mia", REVIEW, {"x": "-> /etc/passwd"}, "x: is a link that leaves the tree"),
        ("mia", REVIEW, {"a": "1", "A": "2"}, "only in upper/lower case"),
    ],
)
def test_all_other_checks_stand_for_a_proposal(
    site: ManagedRepository, who: str, ref: str, files: dict[str, Any], said: str
) -> None:
    done = push(site, files, ref=ref, who=who)
    assert done.status and not done.moved and said in done.output, done.output


def test_a_proposal_ends_and_comes_back_as_one(site: ManagedRepository, capsys: pytest.CaptureFixture[str]) -> None:
    assert push(site, {RUBY: CODE}, ref=REVIEW).status == 0
    assert push(site, {RUBY: CODE + "# 2\n"}, ref=REVIEW, who="anna").status == 0
    delete = [{"ref": REVIEW, "delete": True}]
    assert "may not delete" in site.push(delete).output
    seen = site.bare.path / "puppetmaster/proposals.json"
    seen.unlink(missing_ok=True)
    assert branch_manager(site, "expire") == 0
    assert "was pushed to recently" in capsys.readouterr().out
    ((branch, (commit, since)),) = json.loads(seen.read_text()).items()
    assert branch == REVIEW and abs(since - time.time()) < 60
    seen.write_text(json.dumps({REVIEW: [commit, since - 40 * 86400]}))
    counted_since_1970(site.settings.branches.store / "elapsed")
    assert branch_manager(site, "expire") == 0
    assert f"archived as refs/archive/{REVIEW}@" in capsys.readouterr().out
    assert site.bare.path.exists() and REVIEW not in git(site.bare.path, "branch", "--list", REVIEW)
    assert branch_manager(site, "restore", REVIEW, "--as", "topic/red/sum") == 1
    assert "was a proposal and was not checked" in capsys.readouterr().err
    assert branch_manager(site, "restore", REVIEW) == 0
    assert f"{REVIEW} is back at" in capsys.readouterr().out
    done = site.push(delete, who="anna")
    assert done.status == 0 and f"{REVIEW}: removed" in done.output
    assert f"branch-manager restore {REVIEW}" in done.output


def test_proposals_that_were_deleted_count_in_the_archive_as_all_branches_do(site: ManagedRepository) -> None:
    commit, most = site.refs()["refs/heads/test"], site.settings.branches.project_branches
    kept = [f"create refs/archive/review/red/t{number}@1 {commit}\n" for number in range(policy.ARCHIVED * most)]
    git(site.bare.path, "update-ref", "--stdin", stdin="".join(kept).encode())
    for ref in (REVIEW, "topic/red/new"):
        assert "are kept in the archive" in push(site, {SITE: "x"}, ref=ref).output
