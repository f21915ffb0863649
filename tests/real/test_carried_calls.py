"""Which calls of a reviewed manifest may stay when members change other lines of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from git_hooks.puppet_code.worker import Worker
from git_hooks.server_code import faults

SITE = """class m($who = 'x') {
  if $trusted['certname'] != 'a' { fail('not here') }
  $key = file('/etc/key')
  notify { sha1($key): }
}
define m::d() { $z = file('/etc/d') notify { sha1($z): } }
function m::f() { $z = file('/etc/f')
  sha1($z) }
class m::other { notify { 'b': } }
"""
TOP = "unless $trusted['certname'] == 'a' { fail('no') }\nnotify { file('/etc/top'): }\nnotify { 'later': }\n"
MORE = "class s($p) { $q = '/etc/q'\n file($q) inline_template('<%= @x %>') secret('s') generate('/bin/a', 'b')\n}\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def said(worker: Worker, reviewed: str, changed: str) -> list[str]:
    def named(text: str) -> tuple[str, bytes]:
        return hashlib.sha256(text.encode()).hexdigest(), text.encode()

    (old, old_text), (new, new_text) = named(reviewed), named(changed)
    earlier = ((old, lambda: old_text),)
    return [
        *faults.of_file("modules/m/manifests/x.pp", new, lambda: new_text, worker.read, ("secret",), lambda: earlier)
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("notify { sha1($key): }", "notify { sha1($key): }\n  notify { 'more': }"),
        ("  notify { sha1($key): }", "# a comment\n\n  notify { 'another': }"),
        ("notify { 'b': }", "notify { 'c': }"),
        ("class m(", "# moved down\n\n\nclass m("),
        ("class m::other {", "class m::third { notify { 'ä': } }\nclass m::other {"),
    ],
)
def test_what_is_after_a_call_or_elsewhere_is_free(worker: Worker, old: str, new: str) -> None:
    assert old in SITE
    assert said(worker, SITE, SITE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("/etc/key", "/etc/shadow", "'/etc/shadow'"),
        ("$key = file", "$other = file", "'/etc/key'"),
        ("  if $trusted['certname'] != 'a' { fail('not here') }\n", "", "'/etc/key'"),
        ("!= 'a'", "== 'b'", "'/etc/key'"),
        ("class m($who = 'x')", "class m($who = 'y')", "'/etc/key'"),
        ("class m($who = 'x')", "class n($who = 'x')", "'/etc/key'"),
        ("class m($who = 'x')", "class m($who = 'x') inherits m::other", "'/etc/key'"),
        ("$key = file('/etc/key')", "notify { file('/etc/key'): }", "'/etc/key'"),
        ("notify { sha1($key): }", "notify { file('/etc/key'): }", "'/etc/key'"),
        ("sha1($z): } }", "$z: } }", "'/etc/d'"),
        ("  sha1($z) }", "  $z }", "'/etc/f'"),
        ("class m::other {", "class m::third { $key = file('/etc/key') }\nclass m::other {", "'/etc/key'"),
        ("class m::other {", "$key = file('/etc/key')\nclass m::other {", "'/etc/key'"),
    ],
)
def test_what_is_before_a_call_or_done_with_it_needs_review(worker: Worker, old: str, new: str, wanted: str) -> None:
    assert old in SITE
    found = said(worker, SITE, SITE.replace(old, new))
    assert len(found) == 1 and wanted in found[0], found


def test_at_the_top_of_a_file_all_before_it_counts(worker: Worker) -> None:
    assert said(worker, TOP, TOP.replace("'later'", "'sooner'")) == []
    assert said(worker, TOP, TOP.partition("\n")[2]) != []
    assert said(worker, TOP, TOP.replace("== 'a'", "!= 'a'")) != []


def test_what_depends_on_variables_is_never_carried(worker: Worker) -> None:
    found = said(worker, MORE, MORE + "class t { $x = '`id`' }\n")
    assert len(found) == 2 and "computed" in found[0] and "inline_template" in found[1], found
