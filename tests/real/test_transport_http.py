"""Git over HTTP with real clients: who may read, who may push, what a token is worth, what the log holds."""

from __future__ import annotations

import base64
import gzip
import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from git_hooks.transport.signin import WRONG, SignIn
from tests.real.conftest import SlapdMaker
from tests.support.bare import git
from tests.support.certificates import Authority
from tests.support.crowd import basic
from tests.support.following import eventually
from tests.support.slapd import Slapd
from tests.support.transports import Clone, Managed, S, hooks_served, password, people, working_in


@pytest.fixture(scope="module")
def managed(peopled: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """A repository that everybody in LDAP may read, being served."""
    made = Managed(tmp_path_factory.mktemp("managed"), peopled)
    with made.serving():
        yield made


@pytest.fixture
def clone(managed: Managed, tmp_path: Path) -> Clone:
    """bob's working copy of project/red."""
    made = Clone(tmp_path / "clone")
    done = made.clone(managed.url("bob"))
    assert done.returncode == 0, done.stderr
    return made


def test_a_member_pushes_and_reads_in_the_output_that_it_is_live(managed: Managed, clone: Clone) -> None:
    done = clone.push("by bob")
    assert done.returncode == 0, done.stderr
    assert "project_red: live at" in done.stderr
    assert (managed.settings.branches.environments / "project_red/manifests/site.pp").read_text() == "# by bob\n"
    record = (managed.settings.branches.store / "records/project_red.jsonl").read_text()
    assert '"who":"bob"' in record


def test_a_large_push_comes_in_chunks_and_arrives(managed: Managed, clone: Clone) -> None:
    done = clone.push("large", size=3 << 20)  # beyond http.postBuffer git does not announce the length
    assert done.returncode == 0, done.stderr
    assert (managed.settings.branches.environments / "project_red/large.bin").stat().st_size == 3 << 20


def test_a_person_outside_the_project_cannot_push(managed: Managed, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    assert clone.clone(managed.url("carol")).returncode == 0
    before = managed.tip("project/red")
    done = clone.push("by carol")
    assert done.returncode != 0 and "carol is neither in a project nor an operator and may not push here" in done.stderr
    assert managed.tip("project/red") == before


def test_nobody_is_let_in_without_or_with_a_wrong_password(managed: Managed, clone: Clone) -> None:
    outsider = Clone(clone.place.parent / "outsider")
    for url in (managed.url(), managed.url("bob", "wrong"), managed.url("nobody", "x"), managed.url("bob", "pmt_x")):
        assert outsider.clone(url).returncode != 0
        assert clone.push("not signed in", url, "HEAD:project/red").returncode != 0
    assert outsider.clone(managed.url("BOB", password("bob"))).returncode == 0, "LDAP compares uids without case"


def test_a_token_pushes_until_it_is_revoked(managed: Managed, clone: Clone) -> None:
    made = managed.branch_manager("token", "create", "CI", "--for", "bob", "--expires", "1h")
    word = made.stdout.strip()
    assert word not in made.stderr
    assert clone.push("by token", managed.url("bob", word), "HEAD").returncode == 0
    assert clone.push("for somebody else", managed.url("alice", word), "HEAD").returncode != 0
    number = word.split("_")[1]
    assert managed.branch_manager("token", "revoke", number).returncode == 0
    done = clone.push("revoked", managed.url("bob", word), "HEAD")
    assert done.returncode != 0
    assert number in managed.branch_manager("token", "list").stdout


def test_a_token_for_reading_does_not_push(managed: Managed, clone: Clone) -> None:
    word = managed.branch_manager("token", "create", "mirror", "--for", "bob", "--read-only").stdout.strip()
    assert clone.git("fetch", managed.url("bob", word), "project/red").returncode == 0
    done = clone.push("reading", managed.url("bob", word), "HEAD")
    assert done.returncode != 0 and "403" in done.stderr


def test_a_token_dies_with_its_person(managed: Managed, peopled: Slapd, clone: Clone) -> None:
    gone = {"objectClass": "inetOrgPerson", "uid": "gone", "cn": "gone", "sn": "gone"}
    peopled.add(f"uid=gone,ou=people,{S}", gone)
    word = managed.branch_manager("token", "create", "a", "--for", "gone").stdout.strip()
    assert clone.git("ls-remote", managed.url("gone", word)).returncode == 0
    peopled.delete(f"uid=gone,ou=people,{S}")
    assert clone.git("ls-remote", managed.url("gone", word)).returncode != 0
    # Whoever gets the uid later is another person.
    peopled.add(f"uid=gone,ou=people,{S}", gone)
    assert clone.git("ls-remote", managed.url("gone", word)).returncode != 0
    word = managed.branch_manager("token", "create", "b", "--for", "gone").stdout.strip()
    assert clone.git("ls-remote", managed.url("gone", word)).returncode == 0
    peopled.delete(f"uid=gone,ou=people,{S}")


@pytest.mark.parametrize(("rule", "readers"), [("members", "alice bob olga"), ("everyone", "alice bob carol olga -")])
def test_read_access_is_as_configured(peopled: Slapd, tmp_path: Path, rule: str, readers: str) -> None:
    managed = Managed(tmp_path / "managed", peopled, read=rule)
    client = Clone(tmp_path / "client")
    with managed.serving():
        urls = {"-": managed.url()} | {name: managed.url(name) for name in ("alice", "bob", "carol", "olga")}
        may = [name for name, url in urls.items() if client.git("ls-remote", url, inside=False).returncode == 0]
        assert sorted(may) == sorted(readers.split())
        pushing = client.git("push", managed.url(), "x:y", inside=False)
        assert pushing.returncode != 0


def test_guessing_passwords_is_slowed_down_and_tokens_are_not(managed: Managed, clone: Clone) -> None:
    word = managed.branch_manager("token", "create", "a", "--for", "alice").stdout.strip()
    answers = [_get(managed, basic("alice", f"guess{number}"))[0] for number in range(8)]
    assert answers[:5] == [401] * 5 and 429 in answers[5:]
    assert _get(managed, basic("alice", password("alice")))[0] == 429
    # Who says that he comes from somewhere else is not believed, and made-up names take no room.
    for number in range(3):
        elsewhere = {"X-Forwarded-For": f"198.51.100.{number}"}
        assert _get(managed, basic(f"nobody{number}", "guess"))[0] == 401
        assert _get(managed, basic("alice", "guess") | elsewhere)[0] == 429
    assert clone.git("ls-remote", managed.url("alice", word)).returncode == 0


def test_guesses_from_elsewhere_keep_nobody_out_who_was_there_before(peopled: Slapd, tmp_path: Path) -> None:
    """With a proxy that tells who asks, for there is one address on this machine."""
    managed = Managed(tmp_path / "managed", peopled, proxies=["127.0.0.1"])

    def answer(word: str, address: str) -> int:
        return _get(managed, basic("bob", word) | {"X-Forwarded-For": address})[0]

    with managed.serving():
        assert answer(password("bob"), "198.51.100.7") == 200
        guesses = [answer(f"guess{number}", f"203.0.113.{number}") for number in range(60)]
        assert set(guesses) == {401, 429} and guesses[-1] == 429
        assert answer(password("bob"), "198.51.100.7") == 200, "where bob was before"
        assert answer(password("bob"), "192.0.2.1") == 429, "elsewhere he waits with them"


def _get(
    managed: Managed,
    headers: dict[str, str],
    path: str = "/info/refs?service=git-upload-pack",
    method: str = "GET",
    body: bytes | None = None,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", managed.port, timeout=60)
    try:
        connection.request(method, f"/{managed.bare.path.name}{path}" if path[:2] != "//" else path[1:], body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_who_exists_cannot_be_told_by_time(managed: Managed) -> None:
    sign_in = SignIn(managed.settings)

    def took(name: str) -> float:
        word = base64.b64encode(f"{name}:wrong".encode()).decode()
        began = time.monotonic()
        assert sign_in.check(f"Basic {word}", "127.0.0.1") == WRONG
        return time.monotonic() - began

    # One after the other, so that what else the machine does bears on both; of each kind the quickest counts.
    found = [(took(("bob", "carol", "alice")[number % 3]), took(f"nobody{number}")) for number in range(12)]
    known, unknown = zip(*found, strict=True)
    assert min(unknown) > 0.6 * min(known), (known, unknown)


@pytest.mark.parametrize(
    "path",
    [
        *("/HEAD", "/config", "/objects/info/packs", "/puppetmaster/pusher.key", "/info/refs", "", "/"),
        *("/../store/records/test.jsonl", "/%2e%2e/config.yaml", "/./git-upload-pack/../config", "/git-upload-archive"),
        *("/info/refs?service=git-upload-archive", "/info/refs?service=git-upload-pack&x=1", "///etc/passwd", "//etc"),
    ],
)
def test_nothing_but_the_smart_protocol_is_there(managed: Managed, path: str) -> None:
    status, text = _get(managed, basic("bob", password("bob")), path)
    assert status in (403, 404) and b"[core]" not in text


def test_requests_that_no_git_sends_are_refused(managed: Managed) -> None:
    bob, kind = basic("bob", password("bob")), "application/x-git-upload-pack-request"
    post = {**bob, "Content-Type": kind}
    assert _get(managed, bob, "/git-upload-pack")[0] == 405
    assert _get(managed, {**bob, "Content-Type": "text/plain"}, "/git-upload-pack", "POST", b"0000")[0] == 415
    assert _get(managed, {**post, "Content-Encoding": "br"}, "/git-upload-pack", "POST", b"0000")[0] == 415
    assert _get(managed, {**post, "Content-Encoding": "gzip"}, "/git-upload-pack", "POST", b"no gzip")[0] == 400
    assert _get(managed, {**post, "Content-Length": str(1 << 40)}, "/git-upload-pack", "POST", b"")[0] == 413
    bomb = gzip.compress(bytes(1 << 20) * 600)
    assert _get(managed, {**post, "Content-Encoding": "gzip"}, "/git-upload-pack", "POST", bomb)[0] == 413


def _raw(managed: Managed, text: bytes) -> bytes:
    """Send octets as they are and nothing more; return what comes until the server closes."""
    found = b""
    with socket.create_connection(("127.0.0.1", managed.port), timeout=60) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                found += piece
    return found


def test_a_body_that_lies_is_no_bug_of_ours(managed: Managed) -> None:
    head = f"POST /{managed.bare.path.name}/git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in basic("bob", password("bob")).items())
    head += "Content-Type: application/x-git-upload-pack-request\r\n"
    chunked = "Transfer-Encoding: chunked\r\n"
    chunks = [
        *("zz\r\n0000\r\n", "-4\r\n0000\r\n", "4\r\n0000xx0\r\n\r\n", "40\r\n0000", "4;a=\rb\r\n0000\r\n0\r\n\r\n"),
        *("0\r\nno trailer\r\n\r\n", "", "4", "0\r\n"),
    ]
    lengths = ("5", "-1", "+4", "4 4", "abc", "9" * 5000, "4\r\nContent-Length: 5")
    lies = [f"{chunked}\r\n{text}" for text in chunks]
    lies += [f"Content-Length: {length}\r\n\r\n0000" for length in lengths]
    lies += [f"{more}{chunked}\r\n4\r\n0000\r\n0\r\n\r\n" for more in ("Content-Length: 4\r\n", chunked)]
    answers = {lie: _raw(managed, (head + lie).encode())[:12] for lie in lies}
    assert {lie: status for lie, status in answers.items() if status != b"HTTP/1.1 400"} == {}
    assert "bug stopped" not in managed.log.read_text()


def test_who_goes_away_from_a_fetch_leaves_no_git_behind(managed: Managed) -> None:
    noise = os.urandom(8 << 20).hex()  # packed, half of it, and more than the connection's buffers hold
    tip = managed.bare.commit("large", {"noise": noise})
    asking = f"0032want {tip}\n00000009done\n".encode()
    kind = {"Content-Type": "application/x-git-upload-pack-request", **basic("bob", password("bob"))}
    connection = http.client.HTTPConnection("127.0.0.1", managed.port, timeout=60)
    connection.request("POST", f"/{managed.bare.path.name}/git-upload-pack", asking, kind)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read(1000)
    assert working_in(managed.bare.path)
    answer.close()
    connection.close()
    eventually(lambda: not working_in(managed.bare.path), "git goes on for a client that has gone")
    git(managed.bare.path, "update-ref", "-d", "refs/heads/large")


def test_no_secret_is_in_the_log_or_in_a_process(managed: Managed, clone: Clone) -> None:
    word = managed.branch_manager("token", "create", "a", "--for", "bob").stdout.strip()
    secrets = (password("bob"), "not-the-password", word, word.rpartition("_")[2])
    hook = managed.bare.path / "hooks" / "post-receive.legacy"
    hook.write_text("#!/bin/sh\ncat /proc/[0-9]*/cmdline /proc/$$/environ | tr '\\0' ' ' >$GIT_DIR/seen\n")
    hook.chmod(0o755)
    try:
        for secret in secrets[:3]:
            clone.push("with a secret", managed.url("bob", secret), "HEAD")
    finally:
        hook.unlink()
    _get(managed, {"Authorization": f"Basic {secrets[1]}\x01"})
    _get(managed, {"Authorization": f"Bearer {secrets[1]}"})
    seen = (managed.bare.path / "seen").read_text("utf-8", "replace").replace(managed.url("bob", password("bob")), "")
    log = managed.log.read_text()
    encoded = [base64.b64encode(f"bob:{secret}".encode()).decode() for secret in secrets]
    assert "bob pushes" in log and "PUPPETMASTER_PUSHER" in seen
    for secret in (*secrets, *encoded):
        assert secret not in log
        assert secret not in _of_the_server(seen)


def _of_the_server(seen: str) -> str:
    """What processes show, without the clients' own command lines (git-remote-http has the URL that it was given)."""
    return " ".join(word for word in seen.split() if "://" not in word)


def test_https_with_a_certificate_and_no_passwords_in_clear(peopled: Slapd, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")
    certificate, key = authority.issue("127.0.0.1")
    managed = Managed(tmp_path / "managed", peopled, certificate_file=str(certificate), key_file=str(key))
    client = Clone(tmp_path / "clone", GIT_SSL_CAINFO=str(authority.certificate))
    with managed.serving():
        assert client.clone(managed.url("bob", scheme="https")).returncode == 0
        assert client.push("over TLS").returncode == 0
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            _get(managed, {})
    text = managed.configuration.read_text().replace(f"127.0.0.1:{managed.port}", f"0.0.0.0:{managed.port}")
    plain = "\n".join(line for line in text.splitlines() if "_file: " not in line or "bind" in line)
    managed.configuration.write_text(plain)
    refused = managed.branch_manager("serve")
    assert refused.returncode == 2 and "unencrypted" in refused.stderr


def test_while_ldap_is_away_nobody_signs_in_and_is_told(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_slapd()
    people(slapd)
    managed = Managed(tmp_path / "managed", slapd)
    with managed.serving():
        assert _get(managed, basic("bob", password("bob")))[0] == 200
        slapd.stop()
        status, text = _get(managed, basic("bob", password("bob")))
        assert status == 503 and b"LDAP cannot be reached" in text


def test_fifty_clients_at_once_all_end_live(peopled: Slapd, tmp_path: Path) -> None:
    managed = Managed(tmp_path / "managed", peopled)
    word = managed.branch_manager("token", "create", "many", "--for", "bob").stdout.strip()
    assert managed.branch_manager("deploy").returncode == 0
    clone = Clone(tmp_path / "clone")
    # As a site has it: with the hooks' service, too. Below, each hook does its work itself.
    served = hooks_served(managed.configuration, managed.settings.branches.store, managed.log)
    with served, managed.serving():
        assert clone.clone(managed.url("bob", word)).returncode == 0
        command = ["git", "-C", str(clone.place), "push", "origin"]
        pushes = [
            subprocess.Popen(
                [*command, f"HEAD:refs/heads/topic/red/t{number}"], env=clone.environment, stderr=subprocess.PIPE
            )
            for number in range(50)
        ]
        said = [push.communicate()[1].decode() for push in pushes]
    assert [text for push, text in zip(pushes, said, strict=True) if push.returncode] == []
    environments = managed.settings.branches.environments
    assert {f"red__t{number}" for number in range(50)} <= {path.name for path in environments.iterdir()}
    assert managed.branch_manager("verify-store").returncode == 0


def test_twenty_clients_at_one_branch_end_live_or_refused(peopled: Slapd, tmp_path: Path) -> None:
    """Each has a commit of its own upon the same parent: git lets one in, the others are told; none is half in."""
    managed = Managed(tmp_path / "managed", peopled)
    word = managed.branch_manager("token", "create", "many", "--for", "bob").stdout.strip()
    assert managed.branch_manager("deploy").returncode == 0
    clones = [Clone(tmp_path / f"clone-{number}") for number in range(20)]
    with managed.serving():
        for number, clone in enumerate(clones):
            assert clone.clone(managed.url("bob", word)).returncode == 0
            (clone.place / "manifests/site.pp").write_text(f"# from client {number}\n")
            clone.git("commit", "-qam", f"from client {number}")
        pushes = [
            subprocess.Popen(
                ["git", "-C", str(clone.place), "push", "origin", "HEAD:refs/heads/topic/red/one"],
                env=clone.environment,
                stderr=subprocess.PIPE,
            )
            for clone in clones
        ]
        said = [push.communicate()[1].decode() for push in pushes]
    taken = [number for number, push in enumerate(pushes) if push.returncode == 0]
    assert len(taken) == 1, said
    assert all("rejected" in text or "failed to" in text for number, text in enumerate(said) if number not in taken), (
        said
    )
    live = managed.settings.branches.environments / "red__one/manifests/site.pp"
    assert live.read_text() == f"# from client {taken[0]}\n"
    assert managed.branch_manager("verify-store").returncode == 0


def test_a_push_is_deployed_though_its_client_went_away(managed: Managed, clone: Clone) -> None:
    hook = managed.bare.path / "hooks" / "pre-receive.legacy"
    started = managed.base / "started"
    hook.write_text(f"#!/bin/sh\ntouch {started}; sleep 1\n")
    hook.chmod(0o755)
    try:
        (clone.place / "manifests/site.pp").write_text("# from one who left\n")
        clone.git("commit", "-qam", "left")
        command = ["git", "-C", str(clone.place), "push", "-q", managed.url("bob"), "HEAD:project/red"]
        push = subprocess.Popen(command, env=clone.environment, start_new_session=True, stderr=subprocess.DEVNULL)
        eventually(started.exists, "the push has not begun")
        os.killpg(push.pid, signal.SIGKILL)
        push.wait()
        live = managed.settings.branches.environments / "project_red/manifests/site.pp"
        eventually(lambda: live.exists() and live.read_text() == "# from one who left\n", "the push is not live")
    finally:
        hook.unlink()


def following(managed: Managed) -> None:
    """Let the repository follow one at a forge, with webhooks."""
    secret = managed.base / "secret"
    secret.write_text("It's a Secret to Everybody")
    secret.chmod(0o600)
    upstream = {"forge": "github", "url": "https://127.0.0.1:1/x.git", "secret_file": str(secret)}
    managed.configure(branches={"mirror": upstream})


def test_webhooks_stand_beside_the_repository(peopled: Slapd, tmp_path: Path) -> None:
    managed = Managed(tmp_path / "managed", peopled)
    following(managed)
    with managed.serving():
        connection = http.client.HTTPConnection("127.0.0.1", managed.port, timeout=60)
        connection.request("POST", "/webhook", b"{}", {"X-Hub-Signature-256": "sha256=00", "Content-Length": "2"})
        assert connection.getresponse().status == 403
        connection.close()
        assert Clone(tmp_path / "clone").clone(managed.url("bob")).returncode == 0


@pytest.mark.parametrize("part", ["head", "webhook", "fetch"])
def test_nobody_keeps_a_thread_by_sending_a_byte_now_and_then(peopled: Slapd, tmp_path: Path, part: str) -> None:
    managed = Managed(tmp_path / "managed", peopled, threads=2, silence="2s", read="everyone")
    following(managed)
    path = "/webhook" if part == "webhook" else f"/{managed.bare.path.name}/git-upload-pack"
    begins = f"POST {path} HTTP/1.1\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 9999\r\n"
    with managed.serving(), ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", managed.port))) for _ in range(2)]
        for connection in slow:
            connection.sendall(begins.encode() + (b"" if part == "head" else b"\r\n"))

        def served() -> bool:
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b"X: y\r\n" if part == "head" else b"x")
            probe = http.client.HTTPConnection("127.0.0.1", managed.port, timeout=1)
            with suppress(OSError):
                probe.request("GET", "/healthz")
                return probe.getresponse().status == 200
            return False

        eventually(served, "two slow clients keep everybody out")
