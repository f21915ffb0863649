"""Changes against a real slapd: precise, all or nothing, and nobody's work is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from enc.directory.edits import DirectoryEditor, ValueChange
from enc.settings import Duration, Settings, config
from enc.terms.errors import Conflict, DirectoryRefused, DirectoryUnreachable, NotAllowed, NotFound, ToolkitError
from tests.support.slapd import Slapd

S = "dc=example,dc=org"
PLACE = f"cn=web1,ou=red,ou=hosts,{S}"
KIND = ("device", "puppetClient", "puppetmasterClassification")


@pytest.fixture
def settings(slapd: Slapd) -> Settings:
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": "red"})
    return config.parse(slapd.configuration())


@pytest.fixture
def editor(settings: Settings) -> Iterator[DirectoryEditor]:
    with DirectoryEditor(settings) as opened:
        opened.add(PLACE, {"objectClass": KIND, "cn": ("web1",), "puppetVar": ("a=1", "b=2"), "description": ()})
        yield opened


def csn(editor: DirectoryEditor) -> str:
    record = editor.read(PLACE)
    assert record is not None
    return record.csn


def test_a_change_returns_the_entry_as_it_is_then(editor: DirectoryEditor) -> None:
    before = csn(editor)
    after = editor.modify(PLACE, [ValueChange("puppetVar", remove=("a=1",), add=("a=3",))], before)
    assert after is not None
    assert sorted(after.all("puppetVar")) == ["a=3", "b=2"]
    assert after.csn > before
    assert after.csn == csn(editor)


def test_an_old_version_is_a_conflict_and_changes_nothing(editor: DirectoryEditor) -> None:
    old = csn(editor)
    editor.modify(PLACE, [ValueChange("puppetClass", add=("ntp",))], old)
    for attempt in (
        lambda: editor.modify(PLACE, [ValueChange("puppetClass", add=("web",))], old),
        lambda: editor.delete(PLACE, old),
        lambda: editor.rename(PLACE, "cn=web2", assert_csn=old),
    ):
        with pytest.raises(Conflict, match="somebody else"):
            attempt()
    record = editor.read(PLACE)
    assert record is not None
    assert record.all("puppetClass") == ("ntp",)


def test_a_prefix_that_somebody_else_changed_is_a_conflict_too(editor: DirectoryEditor) -> None:
    """There an overlay of the embedded slapd looks at the change before our assertion is looked at."""
    project, prefix = f"cn=red,ou=projects,{S}", f"cn=web-,cn=red,ou=projects,{S}"
    editor.add(project, {"objectClass": ("groupOfNames",), "cn": ("red",), "member": (project,)})
    scope = {"objectClass": ("puppetmasterScope", "puppetClient"), "cn": ("web-",), "puppetClass": ("a",)}
    made = editor.add(prefix, scope)
    assert made is not None
    editor.modify(prefix, [ValueChange("puppetClass", remove=("a",), add=("b",))], made.csn)
    for change in (ValueChange("puppetClass", remove=("a",)), ValueChange("puppetClass", add=("b",))):
        with pytest.raises(Conflict, match="somebody else"):
            editor.modify(prefix, [change], made.csn)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (ValueChange("puppetVar", remove=("zz=1",)), Conflict, "no longer there"),
        (ValueChange("puppetVar", add=("b=2",)), Conflict, "already there"),
        (ValueChange("puppetClass", add=("ümlaut",)), DirectoryRefused, "syntax"),
        (ValueChange("sn", add=("x",)), DirectoryRefused, "schema"),
        (ValueChange("noSuchAttribute", add=("x",)), DirectoryRefused, "schema"),
        (ValueChange("puppetmasterRegion", add=("a", "b")), DirectoryRefused, "constraint"),
        (ValueChange("cn", remove=("web1",), add=("web2",)), DirectoryRefused, "name"),
    ],
)
def test_a_change_that_cannot_be_leaves_all_as_it_was(
    editor: DirectoryEditor, change: ValueChange, error: type[ToolkitError], words: str
) -> None:
    before = csn(editor)
    with pytest.raises(error, match=words) as caught:
        editor.modify(PLACE, [ValueChange("puppetVar", add=("new=1",)), change], before)
    assert str(caught.value).startswith(PLACE)
    assert "\n" not in str(caught.value)
    assert csn(editor) == before


def test_add_rename_and_delete(editor: DirectoryEditor) -> None:
    with pytest.raises(Conflict, match="already"):
        editor.add(PLACE, {"objectClass": KIND, "cn": ("web1",)})
    moved = editor.rename(PLACE, "cn=web2", new_parent=f"ou=hosts,{S}", assert_csn=csn(editor))
    assert moved is not None
    assert moved.dn == f"cn=web2,ou=hosts,{S}"
    assert editor.read(PLACE) is None
    editor.delete(moved.dn, moved.csn)
    assert editor.find(f"ou=hosts,{S}", "(cn=web2)") == []
    for attempt in (lambda: editor.delete(moved.dn), lambda: editor.modify(PLACE, [ValueChange("cn", add=("x",))])):
        with pytest.raises(NotFound):
            attempt()
    with pytest.raises(DirectoryRefused, match="below"):
        editor.delete(f"ou=hosts,{S}")


def test_the_directory_decides_who_may(settings: Settings, editor: DirectoryEditor) -> None:
    anna = f"uid=anna,ou=people,{S}"
    person = {"objectClass": ("inetOrgPerson",), "uid": ("anna",), "cn": ("a",), "sn": ("a",), "userPassword": ("pw",)}
    editor.add(anna, person)
    with DirectoryEditor(settings, as_person=(anna, "pw")) as hers, pytest.raises(NotAllowed):
        hers.modify(PLACE, [ValueChange("puppetClass", add=("ntp",))])
    with DirectoryEditor(settings, as_person=(anna, "wrong")) as wrong, pytest.raises(DirectoryRefused):
        wrong.sign_in()


def test_two_writers_at_once_lose_nothing(settings: Settings, editor: DirectoryEditor) -> None:
    def count(name: str) -> None:
        with DirectoryEditor(settings) as mine:
            done = 0
            while done < 20:
                record = mine.read(PLACE)
                assert record is not None
                old = next((v for v in record.all("puppetVar") if v.startswith("n=")), None)
                new = f"n={int(old[2:]) + 1 if old else 1}"
                change = ValueChange("puppetVar", remove=(old,) if old else (), add=(new,))
                try:
                    mine.modify(PLACE, [change, ValueChange("puppetClass", add=(f"{name}{done}",))], record.csn)
                except Conflict:
                    continue
                done += 1

    threads = [threading.Thread(target=count, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record = editor.read(PLACE)
    assert record is not None
    assert "n=60" in record.all("puppetVar")
    assert len({one for one in record.all("puppetClass") if one[0] in "abc" and one[1:].isdigit()}) == 60


def test_a_connection_that_was_closed_in_the_meantime(slapd: Slapd, editor: DirectoryEditor) -> None:
    slapd.restart()
    assert editor.modify(PLACE, [ValueChange("puppetClass", add=("ntp",))]) is not None


def test_no_answer_to_a_change_says_that_it_may_have_been_made(slapd: Slapd, settings: Settings) -> None:
    impatient = replace(settings, directory=replace(settings.directory, timeout=Duration(2)))
    with DirectoryEditor(impatient) as editor:
        editor.sign_in()
        with slapd.hung(), pytest.raises(DirectoryUnreachable, match="check whether"):
            editor.add(PLACE, {"objectClass": KIND, "cn": ("web1",)})
