"""Strangers and members who do their worst at the front door: others are served all the same, and the machine lives."""

from __future__ import annotations

import os
import select
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.crowd import bomb, crowd, head, health, post, push_request, siege, strangers
from tests.support.following import eventually
from tests.support.slapd import Slapd
from tests.support.transports import Clone, Managed, working_in


@pytest.fixture(scope="module")
def managed(peopled: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """A service with few threads, so that few clients would do."""
    base = tmp_path_factory.mktemp("managed")
    made = Managed(base, peopled, threads=8, silence="3s", upload_bytes=24 << 20)
    with made.serving():
        yield made


def served_ten_times(managed: Managed) -> list[float | None]:
    return [health(managed.port) for _ in range(10)]


def test_silent_and_half_sent_connections_hold_no_thread(managed: Managed) -> None:
    with crowd(managed.port) as clients:
        clients.add(200)
        clients.add(20, b"GET / HTT")
        clients.add(20, b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n")
        clients.add(20, b"\r\n\r\n")  # no head, though it ends like one
        clients.add(20, b"GET /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
        clients.add(20, b"POST /nowhere HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")
        assert None not in served_ten_times(managed)


def test_slow_bodies_of_one_person_leave_threads_for_others_and_end(managed: Managed, tmp_path: Path) -> None:
    with crowd(managed.port) as clients:
        clients.add(24, head(managed, "upload-pack", "carol", None, "Content-Length: 400000"), b"x")
        assert None not in served_ten_times(managed)
        assert Clone(tmp_path / "clone").clone(managed.url("bob")).returncode == 0
        eventually(lambda: clients.ended > 0, "a byte now and then is fast enough")


def test_another_spelling_of_ones_name_gives_no_second_share(managed: Managed) -> None:
    with crowd(managed.port) as clients:
        for name in ("carol", "CAROL", "Carol", "cArol", "caRol"):
            begins = head(managed, "upload-pack", name, "secret-of-carol", "Content-Length: 400000")
            clients.add(8, begins, b"x")
        assert None not in served_ten_times(managed)


def test_gzip_that_never_ends_fills_no_disk(managed: Managed) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    begins = head(managed, "upload-pack", "carol", None, "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", managed.port), timeout=60) as connection:
        connection.sendall(begins)
        for _ in range(20):
            piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_all_bodies_of_one_person_together_are_bounded(managed: Managed) -> None:
    begins = head(managed, "receive-pack", "bob", None, f"Content-Length: {20 << 20}")
    with (
        socket.create_connection(("127.0.0.1", managed.port), timeout=60) as one,
        socket.create_connection(("127.0.0.1", managed.port), timeout=60) as other,
    ):
        one.sendall(begins + bytes(16 << 20))
        other.sendall(begins + bytes(16 << 20))
        first = next(iter(_answers(one, other)))
        assert first.startswith(b"HTTP/1.1 429")
    assert health(managed.port) is not None


def _answers(*connections: socket.socket) -> Iterator[bytes]:
    while True:
        ready, _, _ = select.select(connections, [], [], 60)
        assert ready, "no answer"
        for one in ready:
            yield one.recv(200)


def test_who_reads_an_answer_slowly_is_left(managed: Managed) -> None:
    noise = os.urandom(12 << 20).hex()
    tip = managed.bare.commit("slow", {"noise": noise})
    asking = f"0032want {tip}\n00000009done\n".encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", managed.port))
        connection.sendall(head(managed, "upload-pack", "bob", None, f"Content-Length: {len(asking)}") + asking)
        connection.settimeout(60)
        taken = len(connection.recv(64))
        assert working_in(managed.bare.path)

        def left() -> bool:
            nonlocal taken
            try:
                piece = connection.recv(64)
            except OSError:
                return True
            taken += len(piece)
            return not piece or not working_in(managed.bare.path)

        eventually(left, "a slow reader keeps its git")
        assert taken < 1 << 20


def test_who_may_push_nothing_is_told_before_git_starts(managed: Managed, tmp_path: Path) -> None:
    begins = head(managed, "receive-pack", "carol", None, "Content-Length: 4000000")
    with socket.create_connection(("127.0.0.1", managed.port), timeout=60) as connection:
        connection.sendall(begins)  # and nothing of the body
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 403")
    clone = Clone(tmp_path / "clone")
    assert clone.clone(managed.url("carol")).returncode == 0
    done = clone.push("by carol")
    assert done.returncode != 0 and "carol is neither in a project nor an operator" in done.stderr


def test_a_delta_that_becomes_gigabytes_ends_git_and_nothing_else(managed: Managed) -> None:
    pack, name = bomb(40)  # 640 MB; half of git_memory are 512
    status, answer = post(managed, "receive-pack", push_request("refs/heads/topic/red/bomb", name, pack), "bob")
    assert status == 200 and b"ok refs/heads" not in answer, answer
    assert b"over limit" in answer, answer
    assert managed.tip("topic/red/bomb") is None
    assert health(managed.port) is not None


def test_one_project_has_a_bounded_number_of_branches(managed: Managed, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    assert clone.clone(managed.url("bob")).returncode == 0
    many = [f"HEAD:refs/heads/topic/red/t{number}" for number in range(4)]
    text = managed.configuration.read_text()
    managed.configure(branches={"project_branches": 5})
    try:  # a hook without a service reads it at each push
        assert clone.git("push", "origin", *many).returncode == 0
        done = clone.git("push", "origin", "HEAD:refs/heads/topic/red/one-more")
        assert done.returncode != 0 and "project red may have at most 5 branches" in done.stderr
        assert clone.push("what is there moves", "origin", "HEAD:refs/heads/topic/red/t1").returncode == 0
    finally:
        managed.configuration.write_text(text)


def test_tls_that_does_not_begin_holds_no_thread(peopled: Slapd, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")
    certificate, key = authority.issue("127.0.0.1")
    files = {"certificate_file": str(certificate), "key_file": str(key)}
    managed = Managed(tmp_path / "managed", peopled, threads=4, silence="3s", **files)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.check_hostname = False
    with managed.serving(), crowd(managed.port) as clients:
        clients.add(100)
        clients.add(20, b"\x16\x03\x01\x02\x00\x01")  # half of a greeting
        clients.add(20, b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
        for _ in range(5):
            with (
                socket.create_connection(("127.0.0.1", managed.port), timeout=60) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as one,
            ):
                for _ in range(3):  # the connection is kept
                    one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = b""
                    while not answer.endswith(b"ok\n"):
                        answer += one.recv(1000)
                    assert b"200 OK" in answer


def test_a_push_comes_through_while_all_attack_at_once(peopled: Slapd, tmp_path: Path) -> None:
    """`./run-tests bench siege` measures how long it takes; here it only has to end well."""
    managed = Managed(tmp_path / "managed", peopled)
    clone = Clone(tmp_path / "clone")
    slow = strangers(peopled, 64)
    with managed.serving(), siege(managed, 300, slow, copies=4):
        assert clone.clone(managed.url("bob")).returncode == 0
        done = clone.push("in spite of all")
        assert done.returncode == 0 and "project_red: live at" in done.stderr, done.stderr
