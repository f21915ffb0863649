"""Secrets at the push: refused in any commit, told without what they are, allowed on the server alone."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from git_hooks import cli
from git_hooks.secrets.kept import Allowance, Allowances
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import git
from tests.support.invented_secrets import filled, pem
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


def made(slapd: Slapd, base: Path, **pushes: object) -> ManagedRepository:
    return ManagedRepository(base, slapd, **{"secrets": "check", "syntax": "check", **pushes})


@pytest.fixture(scope="module")
def site(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedRepository]:
    one = made(slapd, tmp_path_factory.mktemp("secrets") / "site", secrets_excluded=["spec/*"])
    with one.serving():
        yield one


@pytest.fixture(autouse=True)
def again(site: ManagedRepository) -> None:
    site.reset()


@pytest.fixture
def word() -> str:
    return f"Q{secrets.token_hex(8)}z"


def data(word: str) -> dict[str, str | None]:
    return {"data/x.yaml": f"a: 1\nx::db_password: '{word}'\n"}


def fingerprints(output: str) -> list[str]:
    return re.findall(r"fingerprint ([0-9a-f]{16})", output)


@pytest.mark.parametrize(("ref", "who"), [("project/red", "mia"), ("production", "olga"), ("topic/red/new", "mia")])
def test_a_secret_is_refused_on_every_branch_with_its_place(
    ref: str, who: str, site: ManagedRepository, word: str
) -> None:
    pushed = site.push([{"ref": ref, "files": data(word)}], who)
    assert pushed.status != 0 and pushed.moved == {}
    assert "data/x.yaml:2: holds a password (x::db_password), fingerprint " in pushed.output
    assert word not in pushed.output


def test_a_tag_is_searched_and_what_it_says(site: ManagedRepository, word: str) -> None:
    pushed = site.push([{"ref": "refs/tags/v2", "tag": True, "files": data(word)}], "olga")
    assert pushed.status != 0 and "data/x.yaml:2: holds a password" in pushed.output
    before = site.refs()["refs/tags/v1"]
    text = f"object {before}\ntype commit\ntag t\ntagger A <a@example.org> 1700000000 +0000\n\n{pem('PRIVATE KEY')}\n"
    tag = site._writer.write("tag", text.encode())
    pushed = site.push([{"ref": "refs/tags/v3", "to": tag}], "olga")
    assert pushed.status != 0 and f"the message of {tag[:10]}: holds a private key" in pushed.output


def test_a_commit_that_a_later_one_undoes_is_told(site: ManagedRepository, word: str) -> None:
    undone = {"ref": "project/red", "first": {"files": data(word)}, "files": {"data/x.yaml": None, "docs/a": "x"}}
    pushed = site.push([undone], "mia")
    assert pushed.status != 0 and word not in pushed.output
    assert re.search(r"data/x.yaml:2: holds a password .*, in commit [0-9a-f]{10}, ", pushed.output)


def test_what_a_commit_says_is_searched(site: ManagedRepository) -> None:
    tree = git(site.bare.path, "rev-parse", "test^{tree}")
    text, (token,) = filled("set the key\n\nit is <<github>> now\n")
    head = f"tree {tree}\nparent {site.refs()['refs/heads/test']}\nauthor A <a@b> 1700000000 +0000\n"
    commit = site._writer.write("commit", f"{head}committer A <a@b> 1700000000 +0000\n\n{text}".encode())
    pushed = site.push([{"ref": "test", "to": commit}], "olga")
    assert pushed.status != 0 and f"the message of {commit[:10]}: holds a token" in pushed.output
    assert token not in pushed.output


@pytest.mark.parametrize("line", ["author <<github>> <a@b> 1700000000 +0000", "note is <<github>>", "mergetag <<k>>"])
def test_what_a_commits_header_says_is_searched(site: ManagedRepository, line: str) -> None:
    """Names of people, headers that git does not know, and the tag that a merge has in its header."""
    tree, parent = git(site.bare.path, "rev-parse", "test^{tree}"), site.refs()["refs/heads/test"]
    head = {one: f"{one} A <a@b> 1700000000 +0000" for one in ("author", "committer")}
    said, _ = filled(line.replace("<<k>>", pem("PRIVATE KEY").strip().replace("\n", "\n ")))
    lines = [*(head | {said.partition(" ")[0]: said}).values()]
    text = "\n".join((f"tree {tree}", f"parent {parent}", *lines, "", "no harm"))
    commit = site._writer.write("commit", f"{text}\n".encode())
    pushed = site.push([{"ref": "test", "to": commit}], "olga")
    assert pushed.status != 0 and f"the message of {commit[:10]}: holds a " in pushed.output, pushed.output


def test_a_secret_deep_down_in_a_commit_that_a_later_one_undoes_is_told(site: ManagedRepository, word: str) -> None:
    """Deeper than the tree of a branch may be: the tree that is judged does not have it."""
    path = "d/" * 60 + "x.yaml"
    first = {"files": {path: f"password: {word}\n"}}
    undone = {"ref": "project/red", "first": first, "files": {"docs/a": "x"}}
    pushed = site.push([undone], "mia")
    assert pushed.status != 0 and "holds a password" in pushed.output and word not in pushed.output, pushed.output


def test_only_what_a_push_brings_is_searched(site: ManagedRepository, word: str) -> None:
    """What was there before the search was switched on is not made anybody's fault who merges or branches."""
    site.configure(secrets="off")
    had = site.push([{"ref": "test", "files": {**data(word), "docs/a": "x"}}], "olga")
    site.configure(secrets="check")
    assert had.status == 0
    tip = str(had.moved["refs/heads/test"])
    for ref in ("topic/red/from", "project/red"):  # a new branch, and one that gets it as in a merge
        pushed = site.push([{"ref": ref, "to": tip}], "mia" if ref.startswith("topic") else "anna")
        assert pushed.status == 0 and "not checked" not in pushed.output, pushed.output
    tree = git(site.bare.path, "rev-parse", f"{tip}^{{tree}}")
    head = f"tree {tree}\nparent {tip}\nauthor A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\nx\n"
    commit = site._writer.write("commit", head.encode())
    assert site.push([{"ref": "topic/red/from", "to": commit}], "mia").status == 0


def test_an_allowance_is_for_a_secret_at_paths_and_for_a_time(
    site: ManagedRepository, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = site.push([{"ref": "project/red", "files": data(word)}], "mia")
    (fingerprint,) = fingerprints(refused.output)
    call = ["--config", str(site.configuration), "allow-secret", fingerprint, "--reason", "made for a test"]
    assert cli.main([*call, "--path", "data/*", "--json"]) == 0
    (given,) = json_contract.held("branch-manager", ["allow-secret"], capsys.readouterr().out)["allowances"]
    assert (given["fingerprint"], given["path"], given["reason"]) == (fingerprint, "data/*", "made for a test")
    accepted = site.push([{"ref": "project/red", "files": data(word)}], "mia")
    assert accepted.status == 0, accepted.output
    site.reset()
    elsewhere = site.push([{"ref": "project/red", "files": {"conf/x.yaml": f"password: {word}\n"}}], "mia")
    assert elsewhere.status != 0 and fingerprints(elsewhere.output) == [fingerprint]
    another = site.push([{"ref": "project/red", "files": data(f"{word}2")}], "mia")
    assert another.status != 0 and fingerprints(another.output) != [fingerprint]
    allowances = Allowances(site.bare.path)
    now = time.time()
    allowances.add(Allowance(fingerprint, "data/*", "over", "olga", now - 20, now - 10))
    assert len(allowances.all()) == 1
    assert site.push([{"ref": "project/red", "files": data(word)}], "mia").status != 0
    assert cli.main([*call, "--revoke"]) == 0
    assert allowances.all() == ()


def test_nothing_in_the_tree_allows_anything(site: ManagedRepository, word: str) -> None:
    marks = ("kingfisher:ignore", "gitleaks:allow", "nosec", "pragma: allowlist secret")
    comments = "".join(f"# {mark}\n" for mark in marks)
    files = {"data/x.yaml": f"{comments}x_password: {word} # gitleaks:allow kingfisher:ignore\n", "a.conf": ""}
    token, _ = filled("x = '<<github>>' # kingfisher:ignore gitleaks:allow\n")
    pushed = site.push([{"ref": "project/red", "files": {**files, "a.conf": token}}], "mia")
    assert pushed.status != 0 and "data/x.yaml:5: " in pushed.output and "a.conf:1: holds a token" in pushed.output


def test_a_path_may_be_left_out(site: ManagedRepository, word: str) -> None:
    pushed = site.push([{"ref": "project/red", "files": {"spec/a.yaml": f"password: {word}\n"}}], "mia")
    assert pushed.status == 0, pushed.output


def test_the_secret_stands_nowhere(
    site: ManagedRepository, word: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in the output, though the line with it cannot be parsed; not in a log, nor in any file of the server."""
    files = {
        "modules/a/manifests/init.pp": f"class a {{\n  $password = = '{word}'\n}}\n",
        "data/y.yaml": f"x: y: password: '{word}'\n",
        "data/z.json": f'{{"password": "{word}" "x"}}',
        "environment.conf": f"password = {word}\n",
        **data(word),
    }
    pushed = site.push([{"ref": "project/red", "files": files}], "mia")
    assert pushed.status != 0 and "Syntax error" in pushed.output and "(a secret)" in pushed.output
    (fingerprint,) = set(fingerprints(pushed.output))
    cli.main(["--config", str(site.configuration), "refusals", "--json"])
    cli.main(["--config", str(site.configuration), "refusals"])
    call = ["--config", str(site.configuration), "allow-secret"]
    cli.main([*call, fingerprint, "--reason", "made for a test", "--path", "*"])
    cli.main([*call, "--list"])
    assert cli.main([*call, word, "--reason", "a person mistakes it", "--path", "*"]) == 2
    told = capfd.readouterr()
    assert fingerprint in told.out
    assert word not in pushed.output + caplog.text + told.out + told.err
    for file in (*site.bare.path.rglob("*"), *(site.base / "store").rglob("*")):
        assert not file.is_file() or word.encode() not in file.read_bytes(), file
    assert cli.main([*call, fingerprint, "--reason", "over", "--revoke"]) == 0


def test_what_is_kept_is_only_for_its_account(site: ManagedRepository, word: str) -> None:
    site.push([{"ref": "project/red", "files": data(word)}], "mia")
    place = site.bare.path / "puppetmaster/secrets"
    Allowances(site.bare.path).add(Allowance("0" * 16, "x", "y", "z", 1.0, 2.0))
    assert {path.name: path.stat().st_mode & 0o777 for path in (place, place / "key", place / "allowed.jsonl")} == {
        "secrets": 0o700,
        "key": 0o600,
        "allowed.jsonl": 0o600,
    }


def test_without_the_key_nothing_is_accepted(slapd: Slapd, tmp_path: Path, word: str) -> None:
    """By a hook that serves itself, too."""
    one = made(slapd, tmp_path / "site")
    pushed = one.push([{"ref": "project/red", "files": data(word)}], "mia")
    assert pushed.status != 0 and "holds a password" in pushed.output and word not in pushed.output
    (one.bare.path / "puppetmaster/secrets/key").write_text("no key")
    pushed = one.push([{"ref": "project/red", "files": {"docs/a": "x"}}], "mia")
    assert pushed.status != 0 and "does not hold the key of the fingerprints" in pushed.output


def test_what_cannot_be_searched_is_told(slapd: Slapd, tmp_path: Path, word: str) -> None:
    """Without Puppet: the other rules go on, and branches that want all checks refuse."""
    one = made(slapd, tmp_path / "site", syntax="off", require_checks=["prod*"])
    document = yaml.safe_load(one.configuration.read_text(encoding="utf-8"))
    document["branches"]["ruby"] = "/bin/false"
    one.configuration.write_text(yaml.safe_dump(document), encoding="utf-8")
    with one.serving():
        files: dict[str, str | None] = {"modules/a/manifests/init.pp": "class a {\n  $password = lookup('y', 'z')\n}\n"}
        pushed = one.push([{"ref": "project/red", "files": files}], "mia")
        assert pushed.status == 0 and "not checked: 1 file (Puppet code cannot be read: " in pushed.output
        pushed = one.push([{"ref": "production", "files": files}], "olga")
        assert pushed.status != 0 and "takes only files that were checked (pushes.require_checks)" in pushed.output
        one.reset()
        manifest = f"class b {{\n  $password = '{word}'\n}}\n"
        files = {"modules/b/manifests/init.pp": manifest, "k": pem("RSA PRIVATE KEY")}
        pushed = one.push([{"ref": "project/red", "files": files}], "mia")
        assert pushed.status != 0 and "b/manifests/init.pp:2: holds a password" in pushed.output
        assert "k:1: holds a private key (RSA)" in pushed.output
