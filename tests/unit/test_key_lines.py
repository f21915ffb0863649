"""Keys in LDAP: what limits one limits it, or it is left out; sshd itself is asked whether it reads what we write."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.terms.names import PersonName
from enc.terms.record import Record
from git_hooks.ssh_keys import key_lines
from git_hooks.ssh_keys.key_lines import Limits, PublicKey, Unusable, lines_of, quoted, together
from git_hooks.transport.keys import line, owners


def text(kind: str, *fields: bytes) -> str:
    """A key as OpenSSH writes it."""
    octets = b"".join(len(field).to_bytes(4, "big") + field for field in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(octets).decode()}"


K = text("ssh-ed25519", bytes(range(32)))
OTHER = text("ssh-ed25519", bytes(32))
NUMBER = b"\0" + b"\xc5" * 256
RSA = text("ssh-rsa", b"\1\0\1", NUMBER)
SOUND = (
    *(
        K,
        RSA,
        text("ecdsa-sha2-nistp256", b"nistp256", b"\4" * 65),
        text("ecdsa-sha2-nistp521", b"nistp521", b"\4" * 133),
    ),
    text("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:"),
    text("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" * 65, b"ssh:"),
)
NONE = Limits()


def found(value: str) -> dict[PublicKey, tuple[Limits, str]]:
    """Key → its limits, and why it is left out."""
    told = lines_of(value)
    return {key: together(one for one in told if one.key == key) for key in {one.key for one in told}}


def options(value: str) -> str:
    """The options before K that sshd is given; empty: K is left out."""
    limits, trouble = found(value)[PublicKey(K)]
    return "" if trouble else ",".join(["restrict", *limits.options()])


@pytest.mark.parametrize("key", SOUND)
def test_a_key_is_taken_with_and_without_comment_and_blanks(key: str) -> None:
    for value in (
        key,
        f"{key} bob@laptop",
        f'{key} Zoë\'s # expiry-time="2000"',
        f" \t{key}\n",
        f"{key}\r\n",
        key.replace(" ", "\t \t"),
    ):
        assert found(value) == {PublicKey(key): (NONE, "")}, value


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ('expiry-time="20991231"', 'restrict,expiry-time="20991231"'),
        ('EXPIRY-TIME="209912312359z"', 'restrict,expiry-time="209912312359Z"'),
        ('expiry-time="20991231235959UTC",no-pty', 'restrict,expiry-time="20991231235959Z"'),
        ('expiry-time="20990101",expiry-time="20980101"', 'restrict,expiry-time="20980101",expiry-time="20990101"'),
        ('from="10.0.0.0/8,!10.9.9.9,*.example.org,2001:db8::/32"',) * 2,
        ('from=""', 'restrict,from=""'),
        ("verify-required", "restrict,verify-required"),
        ("verify-required,no-verify-required", "restrict,verify-required"),
        *(
            (word, "restrict")
            for word in ("restrict", "No-Pty", "no-X11-forwarding", "pty,user-rc", "no-touch-required")
        ),
        *((word, "restrict") for word in ('permitopen="a:1"', 'tunnel="0",permitlisten="8080"')),
        ('from="a",expiry-time="20991231",restrict,pty', 'restrict,expiry-time="20991231",from="a"'),
    ],
)
def test_what_limits_a_key_limits_it(before: str, told: str) -> None:
    assert options(f"{before} {K} bob") == (told if told.startswith("restrict") else f"restrict,{told}")
    assert options(f"{before}\t {K}") == options(f"{before} {K}")


@pytest.mark.parametrize(
    "before",
    [
        *('command="/bin/sh"', "cert-authority", 'principals="a"', 'environment="A=b"', 'unknown="x"', "unknown", "#"),
        *("#expiry-time", "expiry-time=20991231", 'expiry-time="tomorrow"', 'expiry-time="20990230"', "expiry-time"),
        *('expiry-time="+1d"', 'expiry-time=""', 'expiry-time="2099-12-31"', 'expiry-time="20991231+01:00"', 'from="a'),
        *('from="a",from="b"', 'from="a b"', 'from="a\\"b"', "from", 'from="a"x', "no-pty,", ",no-pty", "no-pty,,pty"),
        *(
            'pty="x"',
            "restrict=",
            "no-restrict",
            "permitopen",
            'from="é"',
            'from="a\x0b"',
            "no-pty\x00",
            "\ufeff",
            "\u00a0",
        ),
        *('from="x\\"', '"', "1024 35", "ssh-dss", 'zos-key-ring-label="K/R"', 'expiry-time="20991231" no-pty'),
    ],
)
def test_a_key_whose_limits_cannot_be_kept_is_left_out(before: str) -> None:
    for value in (f"{before} {K} bob", f"{K}\n{before} {K}" if before[0] != "#" else f"{before} {K}"):
        limits, trouble = found(value)[PublicKey(K)]
        assert trouble, value
        assert limits == NONE


def test_no_line_of_a_key_is_wider_than_another() -> None:
    both = f'expiry-time="20991231" {K}\n{K}\n'
    assert options(both) == 'restrict,expiry-time="20991231"'
    entry = Record("uid=bob", {"uid": ("bob",), "sshpublickey": (f'from="a" {K}', f'expiry-time="20991231" {K}')})
    limits, trouble = together(owners([entry])[PublicKey(K)][PersonName("bob")])
    assert (limits.options(), trouble) == (['expiry-time="20991231"', 'from="a"'], "")
    with pytest.raises(Unusable, match="write one"):
        found(f'from="a" {K}\nfrom="b" {K}')[PublicKey(K)][0].options()


def test_several_keys_in_one_value_are_each_their_own() -> None:
    dsa = "ssh-dss AAAAB3NzaC1kc3MAAACB"
    value = f'# of bob\n\nfrom="a" {K} one\n{OTHER}\r\n{dsa} old\n1024 35 1234567 older'
    assert found(value) == {PublicKey(K): (Limits(sources=frozenset("a")), ""), PublicKey(OTHER): (NONE, "")}


@pytest.mark.parametrize("half", ['expiry-time="20200101"', 'expiry-time="20200101" \\', 'from="a\n,b"', "-----BEGIN"])
def test_a_line_that_may_be_half_of_another_spoils_its_value(half: str) -> None:
    assert "another line of the same value" in found(f"{half}\n{K}")[PublicKey(K)][1]
    assert found(f"# {half.replace(chr(10), '')}\n{K}")[PublicKey(K)] == (NONE, "")


def test_a_comment_says_nothing_of_a_key() -> None:
    assert found(f"# {K}\n{K}")[PublicKey(K)] == (NONE, "")
    assert "comment" in found(f"#{K}")[PublicKey(K)][1]


@pytest.mark.parametrize(
    "key",
    [
        *("", "ssh-ed25519", K.split()[1], K + "!", K.replace(" ", " #"), K.replace("ssh-ed25519", "ssh-rsa")),
        *(K.replace("ssh-ed25519", "ssh-dss"), K.replace("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com")),
        *(text("ssh-ed25519", bytes(31)), text("ssh-ed25519", bytes(32), b""), text("ssh-ed25519"), K[:-4]),
        *(text("ssh-rsa", b"\1\0\1", b"\0\0" + NUMBER), text("ssh-rsa", b"\1\0\1", b"\0" + b"\xc5" * 128)),
        *(
            text("ssh-rsa", b"\0\1\0\1", NUMBER),
            text("ssh-rsa", b"", NUMBER),
            text("ssh-rsa", b"\1\0\1", b"\xc5" * 256),
        ),
        *(text("ecdsa-sha2-nistp256", b"nistp384", b"\4" * 65), text("ecdsa-sha2-nistp256", b"nistp256", b"\4" * 97)),
    ],
)
def test_what_is_no_sound_key(key: str) -> None:
    assert PublicKey.of(key) is None


def test_a_key_has_one_form() -> None:
    """Bits that base64 does not need would let one key stand in two people's entries, unseen."""
    key = text("ssh-ed25519", bytes(32)) if "=" in OTHER else text("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
    blob = key.split()[1]
    assert blob.endswith("=")
    stem = blob.rstrip("=")
    other = stem[:-1] + chr(ord(stem[-1]) + 1) + "=" * (len(blob) - len(stem))
    assert base64.b64decode(other) == base64.b64decode(blob)
    assert PublicKey.of(f"{key.split()[0]} {other}") == key


def test_long_lines_are_left_out() -> None:
    assert "characters" in found(f"{K} {'x' * key_lines.LONGEST_LINE}")[PublicKey(K)][1]
    assert found(f"{K} {'x' * 5000}")[PublicKey(K)] == (NONE, "")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("20300101Z", 1893456000), ("203001010130Z", 1893461400), ("20300101013007utc", 1893461407), ("19700101Z", 0)],
)
def test_times_in_utc(given: str, seconds: int) -> None:
    assert key_lines.instant(given) == seconds
    limits = Limits(expiry=frozenset({given, "20990101"}))
    assert (limits.ended(seconds), limits.ended(seconds + 1)) == (None, given)


def test_times_without_zone_are_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        assert key_lines.instant("20300101") == 1893456000 - 3600
        assert key_lines.instant("20300701") == 1909094400 - 3600, "as sshd, which reads standard time in summer, too"
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(st.characters(codec="ascii") | st.sampled_from('\\" \t,=#'), max_size=40))
def test_no_value_makes_a_key_wider_than_its_line(before: str) -> None:
    """Whatever stands before a key on its line: nothing but blanks leaves it without limits."""
    for value in (f"{before} {K}", f'from="a",{before} {K}'):
        for key, (limits, trouble) in found(value).items():
            if key == K and not trouble and limits == NONE:
                last = value.split("\n")[-1]
                words = last[: last.index(K)].strip("\r\t ").lower().split(",")
                harmless = key_lines._HELD | {""}
                assert all(word in harmless or word.partition("=")[0] in key_lines._FORWARDING for word in words)
                assert "\n" not in value.strip() or value.lstrip(" \t\r\n").startswith(("#", last.strip()))


@given(st.text(st.characters(codec="ascii") | st.sampled_from('\\"'), max_size=40))
def test_a_value_in_quotes_is_read_back(value: str) -> None:
    try:
        written = quoted(value)
    except Unusable:
        assert not value.isprintable() or value.endswith("\\")
        return
    assert key_lines._value(written, 0) == (value, len(written))


def test_ssh_keygen_reads_every_line_that_is_written(tmp_path: Path) -> None:
    """`ssh-keygen -l` goes past options as sshd does (sshkey_advance_past_options)."""
    command = ["/usr/bin/python3", "-c", 'a "quoted" \\ word', "it's"]
    limits = Limits(frozenset({"20991231Z"}), frozenset({"10.0.0.0/8,!10.1.1.1"}), True)
    file = tmp_path / "authorized_keys"
    file.write_text("".join(line(PublicKey(key), PersonName("bob"), command, limits) + "\n" for key in (K, OTHER, RSA)))
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
