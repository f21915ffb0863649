"""What is found in files, and what is not: the cases of tests/cases/secrets.yaml, with Puppet's parser and the scanner.

Harmless ones are names, values and texts that only look like secrets.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from time import process_time
from typing import Any

import pytest
import yaml

from enc.programs.whole_file import NotWritten
from git_hooks.puppet_code.calls import Reading
from git_hooks.puppet_code.worker import Worker
from git_hooks.secrets import armour, kept
from git_hooks.secrets.engine import RuleEngine
from git_hooks.secrets.scanner import Scanner
from tests.support.invented_secrets import filled, pem

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/secrets.yaml").read_text(encoding="utf-8"))
HARMFUL = [case for case in CASES if "finds" in case]
HARMLESS = [case for case in CASES if "finds" not in case]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuleEngine]:
    worker = Worker()
    yield RuleEngine(b"key", worker.read, Scanner(tmp_path_factory.mktemp("rules")))
    worker.close()


def test_the_table_is_long_enough() -> None:
    assert len(HARMFUL) >= 60 and len(HARMLESS) >= 60


@pytest.mark.parametrize("case", HARMFUL, ids=[f"{case['path']} {number}" for number, case in enumerate(HARMFUL)])
def test_what_is_a_secret_is_found_once_at_its_line(case: dict[str, Any], engine: RuleEngine) -> None:
    content, made = filled(case["content"])
    look = engine.closely(case["path"], content.encode())
    found = look.examined.findings
    assert look.examined.unchecked == ()
    assert sorted({one.line for one in found}) == sorted(case["finds"]), [one.text for one in found]
    assert all(one.kind.startswith(case["finds"][one.line]) for one in found), [one.text for one in found]
    assert len(found) <= len(made)
    for one in found:
        assert not any(secret in one.text for secret in made if secret not in case["path"])


@pytest.mark.parametrize("case", HARMLESS, ids=[f"{case['path']} {number}" for number, case in enumerate(HARMLESS)])
def test_what_is_none_is_not(case: dict[str, Any], engine: RuleEngine) -> None:
    content, _ = filled(case["content"])
    look = engine.closely(case["path"], content.encode())
    assert ([one.text for one in look.examined.findings], look.examined.unchecked) == ([], ())


def test_the_scanner_opens_no_socket(tmp_path: Path) -> None:
    """It runs where the kernel ends a process that asks for one, whatever for."""
    program = f"""
import ctypes, platform, struct
from pathlib import Path
from git_hooks.secrets.scanner import Scanner
libc = ctypes.CDLL(None, use_errno=True)
number = {{"x86_64": 41, "aarch64": 198}}[platform.machine()]
rules = b"".join(struct.pack("HBBI", *one) for one in (
    (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)))
kept = ctypes.create_string_buffer(rules, len(rules))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_void_p)]
one = Filter(4, ctypes.addressof(kept))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(one), 0, 0) == 0
scanner = Scanner(Path({str(tmp_path)!r}))
found = list(scanner.scan(bytes.fromhex({filled("a = <<github>> b = <<slack>>")[0].encode().hex()!r})))
print(len(found), flush=True)
import socket
socket.socket()
print("no wall")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2\n", -31), done.stderr


def test_without_the_scanner_the_other_rules_go_on() -> None:
    worker = Worker()
    engine = RuleEngine(b"key", worker.read, None, "it is not installed")
    content, _ = filled("password: <<password>>\n")
    try:
        look = engine.closely("data/x.yaml", content.encode())
    finally:
        worker.close()
    assert [one.line for one in look.examined.findings] == [1]
    assert look.examined.unchecked == ("it is not installed",)


@pytest.mark.parametrize(
    "piece", ["-----BEGIN RSA PRIVATE KEY-----", "LS0tL", "password: ", "mysql -p", "PuTTY-User-Key-File-2: ", "{{", "x://:"]
)
def test_what_means_harm_is_looked_at_in_bounded_time(piece: str, engine: RuleEngine) -> None:
    """Each would take minutes if looking went on from each place to the end."""
    for text in (piece * (1_000_000 // len(piece)), f"password = {piece * 300}\n" * 200):
        for path in ("a.conf", "a.pp"):
            engine.closely(path, text.encode())


def test_no_key_is_made_where_there_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="nowhere"):
        kept.key(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    assert kept.key(tmp_path / "there") == kept.key(tmp_path / "there")


def test_the_same_secret_has_one_fingerprint_wherever_it_stands(engine: RuleEngine) -> None:
    key, password = pem("RSA PRIVATE KEY"), filled("<<password>>")[0]
    written = {
        "a.key": key,
        "b.key": key.replace("\n", "\r\n"),
        "data/c.yaml": "k: |\n  " + key.replace("\n", "\n  ") + "\n",
        "d.json": json.dumps({"k": key}),
        "e.env": f"K={base64.b64encode(key.encode()).decode()}\n",
    }
    found = [engine.examine(path, text.encode()) for path, text in written.items()]
    assert [len(one) for one in found] == [1] * len(written)
    assert len({one[0].fingerprint for one in found}) == 1
    texts = {"a.pp": f"$password = '{password}'\n", "b.yaml": f"x_pass: {password}\n", "c.cnf": f"pass={password}\n"}
    (one,) = {one.fingerprint for path, text in texts.items() for one in engine.examine(path, text.encode())}
    other = RuleEngine(b"other", lambda *_: Reading(), None)
    assert one == engine.fingerprint(password.encode()) != other.fingerprint(password.encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_letters_hide_nothing(encoding: str, engine: RuleEngine) -> None:
    """Also without a mark that says how they are written."""
    text = f"# of the site\ndb_password = Xk29sjdkQ1zz\n{pem('RSA PRIVATE KEY')}\n"
    found = engine.closely("a.conf", text.encode(encoding)).examined.findings
    assert [one.kind for one in found] == ["a password", "a private key (RSA)"]
    assert len(list(armour.blocks(text.encode(encoding)))) == 1


BOMBS = {
    "a.conf.erb": b"<%" * (2 << 20),
    "b.conf.epp": b"<%= $password " * (200 << 10),
    "c.key": (b"-----BEGIN RSA PRIVATE KEY-----\n" + b"a-" * 9000 + b"-----END RSA PRIVATE KEY-----\n") * 200,
    "d.conf": b"\n" * (4 << 20) + (b"$6$saltsalt$" + b"A" * 86 + b"\n") * 20_000,
    "values.conf": b"password = " + ascii_lowercase.encode() * 2 + b"1-Z\napi_token = " + b"ab-cd-" * 40 + b"1!\n",
    "e.conf": (b"password = 'x" + b"\\" * 3000 + b"\n") * 1000,
}
"""What takes a careless pattern hours, in files that a push may bring."""


@pytest.mark.parametrize("path", BOMBS)
def test_no_file_keeps_the_search_busy(path: str) -> None:
    """In processor time of a process of its own, which is ended by the kernel if it never comes back."""
    process = multiprocessing.get_context("fork").Process(target=_searched, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def _searched(path: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
    began = process_time()
    RuleEngine(b"key", lambda *_: Reading(), None, "no scanner").closely(path, BOMBS[path])
    os._exit(0 if process_time() - began < 15 else 1)
