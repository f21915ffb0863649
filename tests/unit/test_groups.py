"""Groups in groups: the walk through them, and what it makes of somebody. What all parts say: real/test_membership."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from enc.rights.groups import DEEPEST, Group, Groups, holdings, normal
from enc.rights.roles import Holding
from enc.settings import Settings
from enc.terms import dn
from enc.terms.names import ProjectName
from git_hooks.push.membership import KnownGroups

S = "dc=example,dc=org"
NAMES = "abcdef"


def group(name: str, *members: str) -> Group:
    return Group(f"cn={name},ou=projects,{S}", tuple(map(place, members)))


def place(name: str) -> str:
    return f"cn={name},ou=projects,{S}" if name in NAMES else f"uid={name},ou=people,{S}"


LISTS = st.lists(st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from([*NAMES, "mia", "tim"]), max_size=4)))


@given(LISTS)
def test_from_below_and_from_above_the_same_is_seen(lists: list[tuple[str, list[str]]]) -> None:
    """Whatever stands in what, in circles too."""
    groups = Groups(group(name, *members) for name, members in dict(lists).items())
    for name in NAMES:
        for person in ("mia", "tim"):
            down, up = groups.below(place(name)).get(place(person)), groups.above(place(person)).get(place(name))
            assert (down is None) == (up is None)
            if down is not None and up is not None:
                assert len(down) == len(up) <= DEEPEST, "the shortest way"
                for outer, inner in zip(down, [*down[1:], place(person)], strict=True):
                    found = groups.get(outer)
                    assert found is not None and inner in found.members


def test_a_path_ends_somewhere() -> None:
    chain = [group(outer, inner) for outer, inner in zip(NAMES, [*NAMES[1:], "mia"], strict=True)]
    groups = Groups(chain)
    assert len(groups.above(place("mia"))) == DEEPEST
    assert [normal(one) for one in groups.too_deep(place("a"))] == [place(NAMES[DEEPEST])]
    assert groups.too_deep(place("c")) == []


def test_a_circle_is_told_before_it_is_closed() -> None:
    groups = Groups([group("a", "b"), group("b", "c"), group("c", "mia")])
    assert groups.is_loop(place("c"), place("a")) and groups.is_loop(place("c"), place("c"))
    assert not groups.is_loop(place("a"), place("c")), "that is another way to the same"


def test_a_role_of_a_project_that_is_gone_is_nobodys() -> None:
    role = Group(f"cn=projectadmin,cn=a,ou=projects,{S}", (place("mia"),), is_role=True)
    held = Holding("projectadmin", ProjectName("a"))
    assert set(holdings(place("mia"), Groups([role]), Settings())) == set()
    assert set(holdings(place("mia"), Groups([role, group("a", "tim")]), Settings())) == {held}
    listed = Groups([role, Group(f"cn=a,ou=projects,{S}", (place("mia"),), is_role=True)])
    assert set(holdings(place("mia"), listed, Settings())) == set(), "what stands above it is no project"


@given(st.text(max_size=20), st.sampled_from(["cn", "CN", "uid"]))
def test_names_are_compared_as_ever(text: str, attribute: str) -> None:
    name = f"{attribute}={dn.escape(text)},ou=Groups,{S}"
    assert normal(name) == dn.normalise(unicodedata.normalize("NFKC", name))
    assert normal(f"commonName={dn.escape(text)},2.5.4.11=groups,{S}") == normal(f"cn={dn.escape(text)},ou=groups,{S}")


def test_a_large_site_is_walked_in_a_moment() -> None:
    """1,000 projects, 5,000 people, three levels of groups; the bound is far above what it takes (0.05 ms)."""
    people = [f"uid=u{number},ou=people,{S}" for number in range(5000)]
    groups = Groups(
        Group(
            f"cn=p{number},ou=projects,{S}",
            (*people[number * 5 % 4970 :][:25], *([f"cn=p{number + 1},ou=projects,{S}"] if number % 4 < 3 else [])),
        )
        for number in range(1000)
    )
    began = time.thread_time()  # not what others do meanwhile
    found = holdings(people[2500], groups, Settings())
    assert len(found) >= 5
    assert time.thread_time() - began < 0.02


def test_what_is_known_of_groups_is_replaced_after_a_clock_that_was_set_back() -> None:
    known, before, after = KnownGroups(), Groups(()), Groups(())
    known.keep(2000.0, before)
    known.keep(1000.0, after)
    assert known.get() == (1000.0, after)
