"""Trials: what the entry says, when it counts, who may, and what `enc` makes of it to the second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from enc.answers.layout import Contact, Layout
from enc.answers.reader import look_up
from enc.classify.classify import Classifier
from enc.classify.render import render_answer
from enc.classify.trial import Trial
from enc.edits.change import Change, Step, after
from enc.rights.roles import Action
from enc.service.authorize import first_refusal, needed
from enc.settings import AnswerSettings, Settings
from enc.terms.environments import Rules
from enc.terms.errors import ClassificationError
from enc.terms.names import Certname, EnvironmentName, ProjectName
from git_hooks.branches.usage import Usage
from tests.support.memory import MemorySource, record
from tests.support.people import person

S = "dc=example,dc=org"
WEB = Certname("web1")
TEXT = "project_red__fix until 1000 a new proxy"
KINDS = ("device", "puppetClient", "puppetmasterClassification")


def node(trial: str = TEXT) -> MemorySource:
    said = record(
        f"cn=web1,ou=red,ou=hosts,{S}",
        cn="web1",
        objectClass=KINDS,
        environment="project_red",
        puppetmasterTrial=trial,
        puppetVar='hostile=x" # until 1 then "y"',
    )
    return MemorySource([said], Settings())


def test_it_counts_until_its_time_is_up() -> None:
    found = Classifier(Settings()).classify(WEB, node())
    assert found.environment == "project_red", "without a clock nothing is tried"
    tried = found.at(999)
    assert (tried.environment, tried.otherwise) == ("project_red__fix", "project_red")
    assert tried.trial == Trial(EnvironmentName("project_red__fix"), 1000, "a new proxy")
    over = found.at(1000)
    assert (over.environment, over.otherwise, over.trial) == ("project_red", None, None)
    assert "puppetmastertrial" not in found.variables


@pytest.mark.parametrize("text", ["", "fix", "fix until", "fix until soon", "a-b until 1", "a until 1x", "a until -1"])
def test_a_trial_that_cannot_be_read_is_a_bad_entry(text: str) -> None:
    with pytest.raises(ClassificationError, match="puppetmasterTrial"):
        Classifier(Settings()).classify(WEB, node(text))


def test_it_is_written_as_it_is_read() -> None:
    trial = Trial(EnvironmentName("a"), 5, " two  spaces ")
    assert trial.text() == "a until 5 two spaces"
    assert Trial.read(trial.text()) == trial._replace(reason="two spaces")


@pytest.mark.parametrize(("now", "environment"), [(999, "project_red__fix"), (1000, "project_red")])
@pytest.mark.parametrize("variable", ["puppetmaster_answer", None])
def test_an_answer_from_then_says_what_comes_next(
    tmp_path: Path, now: int, environment: str, variable: str | None
) -> None:
    layout = Layout(tmp_path)
    layout.create()
    layout.contact.write_text(Contact(990, 990, 3600, "current").line())
    written = render_answer(Classifier(Settings()).classify(WEB, node()).at(990), variable, "copy")
    (layout.nodes / "web1.yaml").write_text(written)
    answer = yaml.safe_load(look_up(layout, WEB, now).text)
    assert answer["environment"] == environment
    assert answer["parameters"]["hostile"] == 'x" # until 1 then "y"'


@pytest.mark.parametrize("environment", ["project_red__fix", "project_red"])
def test_a_node_in_trial_uses_both_environments(tmp_path: Path, environment: str) -> None:
    settings = Settings(answers=AnswerSettings(directory=tmp_path))
    layout = Layout(tmp_path)
    layout.create()
    now = int(time.time())
    layout.contact.write_text(Contact(now, now, 3600, "current").line())
    answer = render_answer(Classifier(settings).classify(WEB, node()).at(999), None, "copy")
    (layout.nodes / "web1.yaml").write_text(answer)
    assert Usage(settings).nodes(EnvironmentName(environment)) == (WEB,), "neither branch may be deleted"
    assert Usage(settings).nodes(EnvironmentName("red")) == ()


@pytest.mark.parametrize(
    ("project", "environment", "fits"),
    [
        ("red", "project_red", True),
        ("red", "project_red__fix", True),
        ("red", "project_redder", False),
        ("red", "project_blue__fix", False),
        ("red", "production", False),
        ("r-1", "project_r_1__x", True),
    ],
)
def test_whose_environment_it_is(project: str, environment: str, fits: bool) -> None:
    rules = Rules(Settings().branches.rules)
    assert rules.fits(EnvironmentName(environment), ProjectName(project)) == fits


MIA = person("mia", member_of=frozenset({ProjectName("red")}))


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ((Change("puppetmasterTrial", (), (TEXT,)),), True),
        ((Change("puppetmasterTrial", (TEXT,), ()),), True),
        ((Change("puppetmasterTrial", (), (TEXT,)), Change("objectClass", (), ("puppetmasterClassification",))), True),
        ((Change("puppetmasterTrial", (), ("project_blue until 5 x",)),), False),
        ((Change("puppetmasterTrial", (), ("nonsense",)),), False),
        ((Change("puppetmasterTrial", (), (TEXT,)), Change("puppetClass", (), ("x",))), False),
        ((Change("puppetmasterTrial", (), (TEXT,)), Change("objectClass", (), ("device",))), False),
        ((Change("objectClass", (), ("puppetmasterClassification",)),), False),
        ((), False),
    ],
)
def test_members_try_their_own_projects_branches_and_nothing_else(changes: tuple[Change, ...], may: bool) -> None:
    entry = record(f"cn=web1,ou=red,ou=hosts,{S}", objectClass=KINDS)
    step = Step("modify", entry.dn, changes)
    needs = needed(step, entry, after(step, entry), Settings())
    assert (first_refusal(MIA, needs) is None) == may
    assert may == (needs == {(Action.NODE_TRY, ProjectName("red"))})
