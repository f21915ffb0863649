"""The files of the answers directory, without a server."""

from __future__ import annotations

import fcntl
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from enc.answers import metrics
from enc.answers.layout import Contact, Layout, link, link_of
from enc.answers.status import status
from enc.answers.writer import AnswerWriter
from enc.settings import AnswerSettings, Settings
from enc.terms.errors import ConfigurationError
from enc.terms.names import Certname, PrefixName, ProjectName
from tests.support.following import eventually

WEB = Certname("web1.example.org")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "answers")
    layout.create()
    return layout


def files(layout: Layout) -> set[str]:
    return {str(path.relative_to(layout.root)) for path in layout.root.rglob("*") if path.is_file()}


def test_answers_are_closed_to_others(layout: Layout) -> None:
    assert layout.root.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 current", "1 2 x current\n", "1 2 -3 current\n", "1 2 3 4 5\n"])
def test_a_contact_that_is_not_whole_is_none(text: str) -> None:
    assert Contact.parse(text) is None


def test_a_contact_reads_back() -> None:
    contact = Contact(1, 2, 3, "unreachable")
    assert Contact.parse(contact.line()) == contact


def test_a_node_has_an_answer_or_a_refusal(layout: Layout) -> None:
    with AnswerWriter(layout) as writer:
        writer.refuse(WEB, "no\ngood", keep_answer=True)
        assert (layout.refused / WEB).read_text() == "no\\ngood\n"
        writer.answer(WEB, "text", "data")
        assert files(layout) == {f"nodes/{WEB}.yaml", f"hiera/nodes/{WEB}.yaml"}
        assert writer.refuse(WEB, "bad", keep_answer=True)
        assert (layout.nodes / f"{WEB}.yaml").read_text() == "text"
        writer.answer(WEB, "text", None, "merged")
        assert files(layout) == {f"nodes/{WEB}.yaml", f"hiera/merged/{WEB}.yaml"}
        writer.answer(WEB, "text", None)
        assert files(layout) == {f"nodes/{WEB}.yaml"}
        writer.answer(WEB, "text", None, "merged")
        assert not writer.refuse(WEB, "bad", keep_answer=False)
        assert files(layout) == {f"refused/{WEB}"}
        writer.remove(WEB)
    assert files(layout) == set()


def test_an_instance_has_the_state_of_its_enrolment(layout: Layout) -> None:
    with AnswerWriter(layout) as writer:
        writer.enrolment(WEB, None)
        assert files(layout) == set()
        for state in ("waiting", "signed"):
            writer.enrolment(WEB, state)
            assert (layout.enrolments / WEB).read_text() == f"{state}\n"
        writer.signing(3, Path("/var/signing"))
        assert layout.signing.read_text() == "3 /var/signing\n"
    before = (layout.enrolments / WEB).stat().st_mtime_ns
    with AnswerWriter(layout) as writer:  # what an earlier process left is not believed to be right
        writer.enrolment(WEB, "signed")
        assert (layout.enrolments / WEB).stat().st_mtime_ns == before, "it is right, and not written again"
    for torn in ("", "sig", "\n"):
        (layout.enrolments / WEB).write_text(torn)
        with AnswerWriter(layout) as writer:
            writer.enrolment(WEB, "signed")
            assert (layout.enrolments / WEB).read_text() == "signed\n"
    (layout.enrolments / WEB).write_text("")
    with AnswerWriter(layout) as writer:
        writer.enrolment(WEB, None)
        assert files(layout) == {"signing"}
        writer.enrolment(WEB, "closed")
        assert writer.retain([], []) == 1
    assert files(layout) == {"signing"}


def test_a_project_loses_the_data_it_has_no_more(layout: Layout) -> None:
    alpha = ProjectName("alpha")
    with AnswerWriter(layout) as writer:
        writer.scope_data(alpha, "own", {PrefixName("web"): "w", PrefixName("db"): "d"})
        assert files(layout) == {
            "hiera/projects/alpha.yaml",
            "hiera/prefixes/alpha/web.yaml",
            "hiera/prefixes/alpha/db.yaml",
        }
        writer.scope_data(alpha, None, {PrefixName("web"): "w"})
        assert files(layout) == {"hiera/prefixes/alpha/web.yaml"}
        writer.answer(WEB, "text", "data", "merged")
        assert writer.retain([], []) == 1
    assert files(layout) == set()


def test_what_a_killed_process_left_is_removed(layout: Layout) -> None:
    (layout.tmp / "4711").write_text("half")
    with AnswerWriter(layout) as writer:
        writer.clean()
    assert files(layout) == set()


def test_the_link_beside_the_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    assert link(configuration, tmp_path / "a")
    assert link(configuration, tmp_path / "b")
    assert not link(configuration, tmp_path / "b")
    assert link_of(configuration).readlink() == tmp_path / "b"


@pytest.mark.parametrize(
    ("silent", "held", "state"), [(0, True, "current"), (0, False, "stopped"), (99, True, "stalled")]
)
def test_status_believes_the_lock_and_the_beat(layout: Layout, silent: int, held: bool, state: str) -> None:
    now = int(time.time())
    layout.contact.write_text(Contact(now - silent, now - silent, 3600, "current").line())
    settings = Settings(answers=AnswerSettings(directory=layout.root))
    with layout.lock.open("w") as lock:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        found = status(settings)
    assert (found.state, found.running, found.unreadable) == (state, held, "there is no copy yet")


def test_metrics_over_http() -> None:
    numbers = metrics.Metrics(nodes=100_000, age_seconds=1.5)
    server = metrics.listen("127.0.0.1:0", numbers)
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as response:
            text = response.read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}/other", timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    assert "# TYPE puppetmaster_follower_nodes gauge\npuppetmaster_follower_nodes 100000\n" in text
    assert "puppetmaster_follower_age_seconds 1.5\n" in text


def test_clients_that_never_end_cost_the_follower_little_and_leave_room_for_others() -> None:
    server = metrics.listen("127.0.0.1:0", metrics.Metrics(), patience=1)
    address, url = ("127.0.0.1", server.server_port), f"http://127.0.0.1:{server.server_port}/metrics"
    before = threading.active_count()
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address)) for _ in range(50)]

        def is_served() -> bool:
            for peer in slow:
                with suppress(OSError):
                    peer.sendall(b"x")
            with suppress(OSError), urllib.request.urlopen(url) as answer:
                return bool(answer.status == 200)
            return False

        is_served()
        assert threading.active_count() - before <= 32, "a thread for each that has a place, and one that ends it"
        eventually(is_served, "slow clients keep everybody out")
    server.shutdown()
    server.server_close()


def test_an_address_that_cannot_be_listened_at_is_said() -> None:
    with pytest.raises(ConfigurationError, match="metrics_listen"):
        metrics.listen("nowhere", metrics.Metrics())
