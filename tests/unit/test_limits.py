"""Whatever people may write in the embedded directory has a limit, and real entries keep to all of them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from enc.directory.access import access_rules, everything_readers
from enc.directory.limits import LIMITS, constraints
from enc.directory.name_rules import LABEL, PROJECT, UID
from enc.directory.schema.definitions import SCHEMAS
from enc.terms.names import Label, PersonName, ProjectName

S = "dc=example,dc=org"
_WRITES = re.compile(r" (?:write|=[a-z]*[aw][a-z]*)$")


def _written() -> set[str]:
    """Return every attribute of which the rules let somebody write values who may not edit everything."""
    everything = [clause.rpartition(" ")[0] for clause in everything_readers(S)]
    found: set[str] = set()
    for rule in access_rules(S).split("access to ")[1:]:
        what, *by = rule.rstrip().split("\n\tby ")
        editors = [who for who in by if _WRITES.search(who) and not any(who.startswith(one) for one in everything)]
        named = re.search(r" attrs=(\S+)", what)
        if editors:
            assert named, f"somebody may write all of {what}"
            found |= set(named[1].split(","))
    return found - {"entry", "children"}


def test_what_people_may_write_has_limits() -> None:
    assert {"userPassword", "sshPublicKey", "roleOccupant", "puppetmasterData", "member"} <= _written()
    assert _written() <= set(LIMITS), "a row in enc/directory/limits.py"


def test_a_person_cannot_write_what_nobody_could_keep() -> None:
    for limit in (LIMITS["sshPublicKey"], LIMITS["userPassword"]):
        assert limit.size * limit.values < 1_000_000


def test_the_names_are_the_schemas() -> None:
    ours = {attribute.name.lower(): attribute.name for schema in SCHEMAS for attribute in schema.attributes}
    assert [name for name in LIMITS if ours.get(name.lower(), name) != name] == []
    for scheme in ("{ARGON2}", "{SSHA}"):
        lines = list(constraints(S, scheme))
        assert len(lines) == 2 * len(LIMITS) + 1 and scheme[1:-1] in lines[-1]


@given(st.text("aZ0_-:./", max_size=8))
def test_slapd_takes_the_names_that_we_take(text: str) -> None:
    assert bool(re.fullmatch(LABEL, text)) == Label.accepts(text)
    assert bool(re.fullmatch(UID, text)) == PersonName.accepts(text)
    assert bool(re.fullmatch(PROJECT, text)) == (ProjectName.accepts(text) and ProjectName(text).is_plain)
