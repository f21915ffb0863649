"""A short-lived branch ends only when all is known and nothing speaks for it."""

from __future__ import annotations

import pytest

from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.expiry import Topic, judge
from git_hooks.repository.refs import ObjectId

DAY = 86400.0
OLD = Topic(BranchName("topic/red/x"), EnvironmentName("red__x"), ObjectId("a" * 40), touched=0.0)


def test_what_nobody_pushed_to_and_nobody_uses_ends() -> None:
    assert judge(OLD, 30 * DAY, now=30 * DAY) == (OLD, 30 * DAY, "")


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (OLD._replace(touched=1.0), "pushed to recently"),
        (OLD._replace(used_by=(Certname("web1"),)), "1 node uses it, for example web1"),
        (OLD._replace(unknown="LDAP is away"), "cannot find out whether nodes use it: LDAP is away"),
        (OLD._replace(held=True), "is held"),
    ],
)
def test_what_speaks_for_it_keeps_it(topic: Topic, reason: str) -> None:
    assert reason in judge(topic, 30 * DAY, now=30 * DAY).reason
