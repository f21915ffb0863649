"""What every forge in the table keeps to, each held to it through the real site; and one that is added."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pytest

from enc.settings import MirrorSettings, Settings
from enc.settings import reference as config_reference
from enc.settings.config import parse
from enc.settings.forges import FORGES
from enc.terms.errors import ConfigurationError
from enc.terms.names import BranchName
from git_hooks.mirror import forges
from git_hooks.mirror.forges.forge import Delivery, Forge
from git_hooks.mirror.receiver import Receiver
from git_hooks.mirror.report import message
from git_hooks.repository.refs import ObjectId
from git_hooks.web.site import create_site
from git_hooks.web.webhooks import LONGEST
from tests.support.invented_forge import sign
from tests.support.webhooks import SENDERS, Sent

SECRET = "It's a Secret to Everybody"
COMMIT = ObjectId("1" * 40)
DOCS = Path(__file__).parents[2] / "docs"

each = pytest.mark.parametrize("forge", FORGES)


class Site:
    """The site of a process that has just started, and what its webhooks asked for."""

    def __init__(self, settings: Settings) -> None:
        self.asked: list[BranchName | None] = []
        self._client = create_site(settings, self._ask).test_client()

    def _ask(self, branch: BranchName | None) -> str:
        self.asked.append(branch)
        return f"job{len(self.asked)}"

    def post(self, sent: Sent, **environ: str) -> tuple[int, Any]:
        answer = self._client.post(
            sent.address, data=sent.body, headers=list(sent.headers.items()), environ_overrides=environ
        )
        return answer.status_code, answer.json


class MakeSite(Protocol):
    def __call__(self, forge: str) -> Site: ...


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("secret", "token"):
        (tmp_path / name).write_text(SECRET if name == "secret" else "t0ken")
        (tmp_path / name).chmod(0o600)
    return parse(
        f"branches: {{store: {tmp_path}/store, mirror: {{forge: github, url: 'https://f.example/r.git', "
        f"secret_file: {tmp_path}/secret, api: 'https://f.example/api', project: o/r, "
        f"api_token_file: {tmp_path}/token}}}}"
    )


@pytest.fixture
def site(settings: Settings) -> MakeSite:
    return lambda forge: Site(at(settings, forge))


def at(settings: Settings, forge: str) -> Settings:
    return replace(settings, branches=replace(settings.branches, mirror=replace(settings.branches.mirror, forge=forge)))


def sent(forge: str, body: bytes | None = None, *, secret: str = SECRET, event: str | None = None) -> Sent:
    """What `forge` sends about the branch test, or with another body or event."""
    sender = SENDERS[forge]
    given = sender.moved.replace("BRANCH", "test").encode() if body is None else body
    return sender.send(secret, given, sender.event if event is None else event, int(time.time()))


def test_each_forge_of_the_table_is_one_and_is_tried_here_and_explained() -> None:
    assert FORGES.keys() == SENDERS.keys()
    rows = (DOCS / "mirror.md").read_text().partition("| forge |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(FORGES)
    for name, module in FORGES.items():
        assert Forge in type(import_module(module).FORGE).__mro__, name
        assert forges.named(name) is import_module(module).FORGE


@each
def test_what_is_genuine_leads_to_a_look(site: MakeSite, forge: str) -> None:
    asking = site(forge)
    # The same again, as it is: a retry, a replay. It costs a look, and jobs.py says how many there are.
    assert [asking.post(sent(forge))[0] for _ in range(2)] == [202, 202]
    body = SENDERS[forge].moved.replace("BRANCH", "project/red").encode()
    assert asking.post(sent(forge, body)) == (202, {"job": "job3"})
    assert asking.asked == ["test", "test", "project/red"]


@each
def test_nobody_else_is_let_in(site: MakeSite, forge: str) -> None:
    asking, good = site(forge), sent(forge)
    bare = "/webhook"
    cut = good.address[:-1] if good.address != bare else bare
    wrong = [
        Sent({}, good.body, bare),
        Sent(dict.fromkeys(good.headers, ""), good.body, bare),
        Sent({name: value[:-1] for name, value in good.headers.items()}, good.body, cut),
        Sent({name: f"\xff{value}" for name, value in good.headers.items()}, good.body, cut),
        Sent(good.headers, good.body, f"{bare}/%ff{SECRET}") if good.address != bare else Sent({}, b"{}"),
        sent(forge, secret="another"),
        sent(forge, secret=SECRET + "x"),
        sent(forge, secret=SECRET.upper()),
    ]
    if good.address == bare:  # where the address is the secret, a body can be anybody's who knows that
        wrong.append(good._replace(body=good.body + b" "))
    for one in wrong:
        status, said = asking.post(one)
        assert status in (403, 404) and isinstance(said["error"], str), one
    # Nor does what another forge sends count: some send the headers of others, too.
    for other in FORGES.keys() - {forge}:
        assert asking.post(sent(other))[0] in (403, 404), other
    assert asking.asked == []


@each
def test_an_empty_secret_is_nobodys(settings: Settings, forge: str) -> None:
    receiver = Receiver(at(settings, forge), lambda _: pytest.fail("let in"))
    empty = sent(forge, secret="")
    headers = {name.lower(): value for name, value in empty.headers.items()}
    assert receiver.take("", Delivery(headers, empty.body))[0] == 403


@each
def test_only_a_comparison_in_constant_time_lets_in(forge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = sent(forge)
    headers = {name.lower(): value for name, value in good.headers.items()}
    delivery = Delivery(headers, good.body, good.address.removeprefix("/webhook").removeprefix("/"))
    assert forges.named(forge).genuine(SECRET, delivery, time.time()) is True
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: False)
    assert forges.named(forge).genuine(SECRET, delivery, time.time()) is False


@each
def test_a_delivery_that_was_kept_back_is_looked_at_or_refused_with_words(settings: Settings, forge: str) -> None:
    asked: list[BranchName | None] = []

    def ask(branch: BranchName | None) -> str:
        asked.append(branch)
        return "job"

    good = sent(forge)
    delivery = Delivery({n.lower(): v for n, v in good.headers.items()}, good.body, good.address[len("/webhook/") :])
    for clock in (lambda: time.time() + 86_400, lambda: 0.0):
        status, said = Receiver(at(settings, forge), ask, clock).take(SECRET, delivery)
        assert (status, bool(asked)) == (202, True) or (status == 403 and "its time is" in said["error"])


@each
@pytest.mark.parametrize("body", [b"no json", b"[]", b"\xff\xfe", b'"x"', b"[" * 100_000, b"9" * 5000, b"{}{}"])
def test_a_body_that_is_no_json_object_is_refused(site: MakeSite, forge: str, body: bytes) -> None:
    asking = site(forge)
    status, said = asking.post(sent(forge, body))
    assert (status, said["error"][:8], asking.asked) == (400, "the body", [])


@each
@pytest.mark.parametrize("size", [LONGEST + 1, 10**20])
def test_a_body_that_is_too_long_is_not_read(site: MakeSite, forge: str, size: int) -> None:
    asking = site(forge)
    assert asking.post(sent(forge), CONTENT_LENGTH=str(size))[0] == 413
    assert asking.asked == []


@each
def test_other_events_and_refs_ask_for_nothing(site: MakeSite, forge: str) -> None:
    asking, sender = site(forge), SENDERS[forge]
    event, body = sender.other
    assert asking.post(sent(forge, body.encode(), event=event))[1]["job"] is None
    for ref in ("refs/tags/v1", "refs/changes/01/1/1", "refs/heads/../x", "refs/heads/", "", "refs/heads/a\\u0000b"):
        body = sender.moved.replace("refs/heads/BRANCH", ref)
        assert asking.post(sent(forge, body.encode()))[1]["job"] is None, ref
    assert asking.asked == []


@each
@pytest.mark.parametrize("ref", ["\\ud800", "\\u2028x", "te\\u0301st", "\u202etest", "x" * 100_000])
def test_a_name_that_is_no_branchs_stops_nothing(site: MakeSite, forge: str, ref: str) -> None:
    asking = site(forge)
    body = SENDERS[forge].moved.replace("BRANCH", ref).encode()
    assert asking.post(sent(forge, body)) == (202, {"job": None, "why": "nothing to look at"})
    assert asking.asked == []


@each
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-be", "utf-8-sig"])
def test_other_encodings_are_read_or_refused(site: MakeSite, forge: str, encoding: str) -> None:
    asking = site(forge)
    status, _ = asking.post(sent(forge, SENDERS[forge].moved.replace("BRANCH", "test").encode(encoding)))
    assert (status, asking.asked) in ((202, ["test"]), (400, []))


@each
def test_a_status_goes_to_the_configured_address_with_the_token_in_a_header(settings: Settings, forge: str) -> None:
    mirror = at(settings, forge).branches.mirror
    for state in ("success", "failure", "pending"):
        asking = message(mirror, COMMIT, state, "the reason first " + "ü" * 200, "t0ken")
        if asking is None:
            continue
        assert asking.full_url.startswith("https://f.example/api/") and COMMIT in asking.full_url
        assert "t0ken" not in asking.full_url
        assert any("t0ken" in value for value in asking.headers.values())
        assert isinstance(asking.data, bytes) and b"t0ken" not in asking.data
        assert any(str(value).startswith("the reason first") for value in json.loads(asking.data).values())


@pytest.mark.parametrize("value", ["bitbucket", "GitHub", "'github '", "5", "[github]", "''", "{github: 1}", "true"])
def test_another_forge_is_refused_in_a_line_that_names_those_there_are(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"branches: {{mirror: {{forge: {value}, url: 'https://h/r'}}}}", where="config.yaml")
    told = str(caught.value)
    refused, _, near = told.partition("; did you mean ")
    assert refused.startswith("config.yaml: branches.mirror.forge: ")
    assert refused.endswith(f"is not one of {', '.join(FORGES)}") and near in ("", "github?")
    assert "\n" not in told


def test_a_mirror_of_a_forge_that_is_not_there_does_not_begin(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="'bitbucket' is not one of github"):
        create_site(at(settings, "bitbucket"), lambda _: "job")


def test_a_forge_that_forgets_to_answer_lets_nobody_in(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """`genuine` without a `return`, or with something that only looks like yes."""
    for answer in (None, "yes", 1):
        forge = import_module("tests.support.invented_forge").Hut()
        monkeypatch.setattr(forge, "genuine", lambda *_, answer=answer: answer)
        monkeypatch.setitem(FORGES, "hut", "tests.support.invented_forge")
        monkeypatch.setattr("tests.support.invented_forge.FORGE", forge)
        site = Site(at(settings, "hut"))
        assert site.post(Sent({}, b"{}"))[0] == 403


def test_a_forge_is_added_by_a_module_and_a_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a real repository, a look and a status that is sent: tests/real/test_mirror.py."""
    monkeypatch.setitem(FORGES, "hut", "tests.support.invented_forge")
    secret = settings.branches.mirror.secret_file
    given: Mapping[str, str] = {"forge": "hut", "url": "https://f.example/r.git", "secret_file": str(secret)}
    added = parse(json.dumps({"branches": {"mirror": given}}))
    (takes,) = (one.takes for one in config_reference.settings() if one.key == "branches.mirror.forge")
    assert "`hut`" in takes
    site = Site(added)
    body = b'{"what": "grown", "line": "project/red"}'
    assert site.post(Sent({"X-Hut-Proof": sign(SECRET, body)}, body)) == (202, {"job": "job1"})
    assert site.post(Sent({"X-Hut-Proof": sign("another", body)}, body))[0] == 403
    assert site.asked == ["project/red"]
    mirror = MirrorSettings(forge="hut", api="https://f.example", project="o/r")
    asking = message(mirror, COMMIT, "failure", "why", "t0ken")
    assert asking is not None and asking.full_url == f"https://f.example/huts/o/r/{COMMIT}"
    assert isinstance(asking.data, bytes) and json.loads(asking.data) == {"weather": "stormy", "note": "why"}
