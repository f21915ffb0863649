"""Pushes that bring the private key of a known certificate; real git, and keys made by the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.signing.published import PublishedKeys
from git_hooks.puppet_code.calls import Reading
from git_hooks.secrets import private_keys
from git_hooks.secrets.engine import engine
from git_hooks.secrets.kept import Allowance, Allowances
from tests.real.conftest import SlapdMaker
from tests.support import key_forms
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


def made(base: Path, slapd: Slapd) -> ManagedRepository:
    managed = ManagedRepository(base / "site", slapd)
    (base / "signed").mkdir()
    live, old = key_forms.key("rsa"), key_forms.key("ec384")
    (base / "signed/wildcard.pem").write_bytes(key_forms.certificate(live, "*.example.org"))
    (base / "signed/old.pem").write_bytes(key_forms.certificate(old, "old.example.org", days=-3))
    (base / "signed/gone.pem").symlink_to("nowhere")
    document = yaml.safe_load(managed.configuration.read_text())
    document["branches"]["opening"] = {"certificates": [str(base / "signed")], "state": str(base / "opening")}
    document["signing"] = {"published_keys": str(base / "published"), "journal": str(base / "journal.jsonl")}
    managed.configuration.write_text(yaml.safe_dump(document))
    return managed


@pytest.fixture(scope="module")
def served(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedRepository]:
    """One with a service that all tests share: a hook by itself loads the scanner each time."""
    managed = made(tmp_path_factory.mktemp("known"), slapd)
    with managed.serving():
        yield managed


@pytest.fixture
def site(served: ManagedRepository) -> Iterator[ManagedRepository]:
    yield served
    served.reset()


def digest(key: Any) -> str:
    return private_keys.digest(key.public_key())


def published(site: ManagedRepository) -> PublishedKeys:
    return PublishedKeys(site.base.parent / "published")


def push(site: ManagedRepository, **files: str) -> Any:
    named = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return site.push([{"ref": "project/red", "files": named}])


@pytest.mark.parametrize("warm", [False, True])
def test_the_key_of_a_live_certificate_is_refused_and_known_to_be_public(
    site: ManagedRepository, slapd: Slapd, tmp_path: Path, warm: bool
) -> None:
    text = key_forms.content({"key": "rsa", "form": "pkcs8", "wrap": ["yaml"]}).decode()
    site = site if warm else made(tmp_path, slapd)
    done = push(site, data__nodes__web_dot_yaml=text)
    assert done.status and not done.moved
    says = "data/nodes/web.yaml: line 3: the live key of CN=*.example.org, valid until 2"
    assert says in done.output and str(site.base.parent / "signed") in done.output
    assert "PRIVATE" not in done.output
    assert published(site).has(digest(key_forms.key("rsa"))), "it was here, refused or not"


def test_an_expired_certificate_is_told_as_that(site: ManagedRepository) -> None:
    done = push(site, x=key_forms.pem(key_forms.key("ec384")).decode())
    assert done.status and "x: line 1: the key of CN=old.example.org, whose certificate expired on 2" in done.output


def test_a_certificate_of_the_same_push_counts_whichever_comes_first(site: ManagedRepository) -> None:
    for names in (("a__cert", "b__key"), ("b__cert", "a__key"), ("z", "a__b__c")):
        key = key_forms.new()
        certificate = key_forms.certificate(key, "push.example.org").decode()
        done = push(site, **{names[0]: certificate, names[1]: key_forms.pem(key).decode()})
        place = names[1].replace("__", "/")
        assert done.status and f"{place}: line 1: the live key of CN=push.example.org" in done.output, done.output


def test_other_keys_are_noted_and_one_under_a_passphrase_is_not(site: ManagedRepository) -> None:
    key = key_forms.new()
    push(site, x=key_forms.pem(key).decode())
    assert published(site).has(digest(key))
    sealed = key_forms.content({"key": "ed25519", "form": "openssh", "under": True}).decode()
    push(site, y=sealed)
    assert not published(site).has(digest(key_forms.key("ed25519")))


def test_certificates_that_cannot_be_read_are_told_where_a_key_comes(site: ManagedRepository, slapd: Slapd) -> None:
    document = yaml.safe_load(site.configuration.read_text())
    document["branches"]["opening"]["certificates"].append("/nonexistent/signed")
    kept = site.configuration.read_text()
    site.configuration.write_text(yaml.safe_dump(document))
    try:
        assert "not checked" not in push(site, plain="no key").output
        site.reset()
        done = push(site, x=key_forms.pem(key_forms.new()).decode())
        assert "not checked: 1 file (/nonexistent/signed cannot be read: No such file" in done.output
        site.reset()
        site.configure(require_checks=["project/*"])
        done = push(site, x=key_forms.pem(key_forms.new()).decode())
        assert done.status and "cannot be checked: /nonexistent/signed cannot be read" in done.output
    finally:
        site.configuration.write_text(kept)


def test_a_tag_cannot_carry_it(site: ManagedRepository) -> None:
    text = key_forms.pem(key_forms.key("rsa")).decode()
    done = site.push([{"ref": "refs/tags/v2", "from": "test", "files": {"x": text}}], "olga")
    assert done.status and "the live key of CN=*.example.org" in done.output


def test_a_commit_in_the_middle_counts(site: ManagedRepository) -> None:
    text = key_forms.pem(key_forms.key("rsa")).decode()
    done = site.push([{"ref": "project/red", "first": {"files": {"k": text}}, "files": {"k": None, "x": "y"}}])
    assert done.status and not done.moved
    assert ", k: line 1: the live key of CN=*.example.org" in done.output and "commit " in done.output


def test_an_allowance_counts_for_a_modules_own_certificate_and_for_none_of_the_sites(site: ManagedRepository) -> None:
    own, live = key_forms.new(), key_forms.key("rsa")
    repository = site.settings.branches.repository
    rules = engine(repository, lambda *_: Reading())
    for key in (own, live):
        for found in rules.examine("spec/k", key_forms.pem(key)):
            Allowances(repository).add(Allowance(found.fingerprint, "spec/*", "of a test", "olga", 0, 4e9))
    certificate = key_forms.certificate(own, "of.a.test").decode()
    done = push(site, spec__k=key_forms.pem(own).decode(), spec__c=certificate)
    assert done.status == 0, done.output
    site.reset()
    done = push(site, elsewhere__k=key_forms.pem(own).decode(), spec__c=certificate)
    assert done.status and "elsewhere/k: line 1: the live key of CN=of.a.test" in done.output
    done = push(site, spec__k=key_forms.pem(live).decode())
    assert done.status and "spec/k: line 1: the live key of CN=*.example.org" in done.output
