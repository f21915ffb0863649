"""The front door's decisions: whose turn it is, who is too slow, what somebody has at once. What gunicorn must have."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from gunicorn.workers import gthread
from werkzeug.exceptions import HTTPException, ServiceUnavailable, TooManyRequests

from enc.web.front import Front, worker
from enc.web.pace import Pace, TooSlow
from enc.web.shares import Room, Shares
from enc.web.sockets import Plain
from enc.web.turns import Turns, keys


def test_what_is_used_of_gunicorn_is_there() -> None:
    """Its names begin with no underscore, but for one, and are promised to nobody all the same."""
    used = (
        "accept",
        "enqueue_req",
        "finish_request",
        "_keepalive_after",
        "murder_keepalived",
        "handle",
        "handle_request",
    )
    for name in used:
        assert callable(getattr(gthread.ThreadWorker, name)), name
    body = inspect.getsource(gthread.ThreadWorker)
    for text in ("self.murder_keepalived()", "self.murder_keepalived(force=True)", "self.nr_conns < self.worker_conn"):
        assert text in body
    assert "self.finish_request, conn, fut" in inspect.getsource(gthread.ThreadWorker.enqueue_req)
    assert "conn.data_ready" in inspect.getsource(gthread.ThreadWorker.handle)
    assert "conn.init()" in inspect.getsource(gthread.ThreadWorker.handle)
    assert list(inspect.signature(gthread.TConn).parameters) == ["cfg", "sock", "client", "server"]
    made = worker(Front.bounds)
    assert isinstance(made, type) and issubclass(made, Front)


def test_only_time_that_is_spent_waiting_counts() -> None:
    pace = Pace(100, 10)
    for _ in range(100):
        pace.moved(100, 1)
    pace.moved(1, 9.9)
    pace.moved(1000, 0.1)
    pace.moved(10, 9)
    with pytest.raises(TooSlow):
        pace.moved(10, 1)


def test_a_connection_ends_that_is_slow_or_silent() -> None:
    near, far = socket.socketpair()
    with far, Plain(fileno=near.detach()) as one:
        one.patience = 0.05
        one.setblocking(True)
        one.pace = Pace(1000, 0.02)
        with pytest.raises(TooSlow, match="nothing came"):
            one.recv(10)
        with pytest.raises(TooSlow):
            one.sendall(bytes(50 << 20))
        one.ends = time.monotonic() - 1
        with pytest.raises(TooSlow, match="too long"):
            one.recv(10)


def test_a_connection_takes_all_there_is_to_send() -> None:
    near, far = socket.socketpair()
    content = bytes(range(256)) * 20_000
    found = bytearray()

    def take() -> None:
        while piece := far.recv(100_000):
            found.extend(piece)

    with far:
        taking = threading.Thread(target=take)
        taking.start()
        with Plain(fileno=near.detach()) as one:
            one.setblocking(True)
            one.sendall(content)
        taking.join(60)
    assert found == content


def test_who_knows_a_secret_has_its_share_and_no_more() -> None:
    def of(*lines: str) -> tuple[str, ...]:
        return keys("192.0.2.7", "\r\n".join(["POST / HTTP/1.1", *lines, "", "Authorization: body"]).encode())

    assert of("Authorization: Basic x") == of("X: y", "authorization:\tBasic x")
    assert of("Authorization: Basic x") != of("Authorization: Basic y")
    assert of() == ("192.0.2.7",)
    assert not any("Basic" in key for key in of("Authorization: Basic x"))


def test_turns_are_counted_for_each_and_for_all() -> None:
    turns = Turns(3, 2)
    for _ in range(2):
        assert turns.may(("a",))
        turns.begin(("a",))
    assert not turns.may(("a",)) and not turns.may(("b", "a")) and turns.may(("b",)) and turns.may(())
    turns.begin(())
    assert turns.all_taken and not turns.may(())
    turns.end(("a",))
    assert turns.may(("a",))


def test_shares_and_room_are_given_back() -> None:
    shares, room = Shares(1), Room(10, 6)
    with shares.one("a"), shares.one("b"), pytest.raises(TooManyRequests), shares.one("a"):
        pass
    with shares.one("a"), room.of("a") as mine, room.of("b") as yours:
        mine(6)
        refusals: list[tuple[object, int, type[HTTPException]]] = [(mine, 1, TooManyRequests)]
        refusals.append((yours, 5, ServiceUnavailable))
        for take, octets, kind in refusals:
            with pytest.raises(kind):
                take(octets)  # type: ignore[operator]
        yours(4)
    with room.of("b") as yours:
        yours(6)


_ANOTHER = """
import os, sys
from enc.web import server
os.rmdir(os.getcwd())  # as closed to us as what another account may not see
os.chdir("/")
if os.geteuid() == 0:
    os.setresgid(12345, 12345, 12345)
    os.setresuid(12345, 12345, 12345)
sys.path.clear()  # nor what is not imported yet
made = server._Server(lambda: None, server.options("x", "127.0.0.1:0", 1, server.Bounds()))
made.cfg.logger_class(made.cfg)
print(made.cfg.chdir, made.cfg.uid == os.geteuid(), made.cfg.gid == os.getegid())
"""


def test_who_became_another_account_serves_as_that(tmp_path: Path) -> None:
    """It has imported everything before: as root, and perhaps in a place that is closed to the other."""
    (tmp_path / "here").mkdir()
    done = subprocess.run([sys.executable, "-c", _ANOTHER], cwd=tmp_path / "here", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "/ True True\n"), done.stderr
