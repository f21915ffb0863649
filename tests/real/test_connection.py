"""Reaching a directory: fail-over, every wait bounded, TLS verified, passwords only where they are safe."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from enc.directory.connection import open_connection
from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.directory.messages import Scope
from enc.settings import DirectorySettings, Duration, TlsSettings, config
from enc.terms.errors import ConfigurationError, DirectoryRefused, DirectoryUnreachable, ToolkitError
from tests.real.conftest import SlapdMaker
from tests.support.certificates import Authority
from tests.support.hostile_server import (
    Behaviour,
    announces_4_gb,
    answers_an_octet_at_a_time,
    has_no_last_page,
    never_stops,
    says_nothing,
    server,
    speaks_http,
)
from tests.support.slapd import Slapd

SUFFIX = "dc=example,dc=org"
CLOSED = "ldap://127.0.0.1:1"
PATIENT, IMPATIENT = Duration(30), Duration(1)
"""`directory.timeout` where a server answers, however busy the machine is, and where its end is waited for."""
SOON = 15.0
"""Seconds: more than a busy machine needs for some time-outs that are over; an octet each 0.1 s takes 20."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def reads(settings: DirectorySettings) -> bool:
    """Read the top of the tree; True if it was there."""
    with open_connection(settings) as connection:
        return bool(connection.search(SUFFIX, scope=Scope.BASE))


@pytest.fixture(scope="module")
def shared(make_module_slapd: SlapdMaker) -> Slapd:
    return make_module_slapd()


@pytest.fixture
def settings(shared: Slapd) -> DirectorySettings:
    return replace(config.parse(shared.configuration()).directory, timeout=PATIENT)


@pytest.fixture
def impatient(settings: DirectorySettings) -> DirectorySettings:
    return replace(settings, timeout=IMPATIENT)


def test_the_first_server_that_answers_is_used(impatient: DirectorySettings, shared: Slapd) -> None:
    with server(says_nothing) as silent, within(SOON):
        assert reads(replace(impatient, uris=(CLOSED, f"ldap://{silent}", shared.ldap_uri)))
    with server(says_nothing) as silent, within(SOON):
        nobody = replace(impatient, bind_dn=None, uris=(f"ldap://{silent}", shared.ldap_uri))
        open_connection(nobody).search("", scope=Scope.BASE)


def test_all_reasons_are_told_when_no_server_answers(settings: DirectorySettings) -> None:
    with pytest.raises(DirectoryUnreachable) as caught:
        reads(replace(settings, uris=(CLOSED, "ldapi://%2Fnowhere%2Fldapi", "ldap://no-such-host.invalid")))
    assert all(word in str(caught.value) for word in ("127.0.0.1:1", "nowhere", "no-such-host.invalid"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@pytest.mark.parametrize("behaviour", [says_nothing, answers_an_octet_at_a_time, speaks_http])
def test_a_misbehaving_server_costs_the_time_out_and_no_more(
    impatient: DirectorySettings, behaviour: Behaviour, scheme: str
) -> None:
    with server(behaviour) as place, within(SOON), pytest.raises(DirectoryUnreachable, match=place):
        reads(replace(impatient, uris=(f"{scheme}://{place}",)))


def test_a_message_that_is_too_large_is_refused_though_it_does_not_say_what_it_is(settings: DirectorySettings) -> None:
    with server(announces_4_gb) as place, pytest.raises(DirectoryUnreachable, match="at most 16777216 are accepted"):
        reads(replace(settings, uris=(f"ldap://{place}",)))


@pytest.mark.parametrize("behaviour", [never_stops, has_no_last_page])
def test_a_server_whose_answer_has_no_end(impatient: DirectorySettings, behaviour: Behaviour) -> None:
    with (
        server(behaviour) as place,
        open_connection(replace(impatient, uris=(f"ldap://{place}",))) as connection,
        within(SOON),
        pytest.raises(DirectoryUnreachable, match=place),
    ):
        list(connection.read_all(SUFFIX))


def test_a_server_that_hangs_between_two_questions(slapd: Slapd) -> None:
    settings = replace(config.parse(slapd.configuration()).directory, timeout=IMPATIENT)
    with open_connection(settings) as connection:
        assert connection.search(SUFFIX, scope=Scope.BASE)
        with slapd.hung(), within(SOON), pytest.raises(DirectoryUnreachable):
            connection.search(SUFFIX, scope=Scope.BASE)
        assert not connection.is_usable()  # the late answer must not be taken for the next one


def test_external_and_anonymous(settings: DirectorySettings, shared: Slapd) -> None:
    nobody = replace(settings, bind_dn=None, bind_password_file=None)
    assert reads(replace(nobody, uris=(shared.ldapi_uri,)))
    with open_connection(replace(nobody, uris=(shared.ldap_uri,))) as connection:
        assert connection.search("", scope=Scope.BASE, attributes=("supportedControl",))


def test_writing_uses_the_writing_account(settings: DirectorySettings, shared: Slapd, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong\n")
    wrong.chmod(0o600)
    over_tcp = replace(
        settings, uris=(shared.ldap_uri,), write_bind_dn=f"cn=writer,{SUFFIX}", write_bind_password_file=wrong
    )
    assert reads(over_tcp)
    with pytest.raises(DirectoryRefused, match="cn=writer"):
        open_connection(over_tcp, for_writing=True)


@pytest.mark.parametrize(
    ("mode", "content", "error"),
    [(0o600, "wrong\n", DirectoryRefused), (0o644, "secret\n", ConfigurationError), (0o600, "", ConfigurationError)],
)
def test_a_password_that_is_wrong_or_open_to_all(
    settings: DirectorySettings, shared: Slapd, tmp_path: Path, mode: int, content: str, error: type[ToolkitError]
) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(error):
        reads(replace(settings, uris=(shared.ldap_uri,), bind_password_file=file))


def test_an_empty_password_signs_nobody_in(settings: DirectorySettings) -> None:
    with pytest.raises(DirectoryRefused):
        open_connection(settings, as_person=(f"uid=anna,ou=people,{SUFFIX}", ""))


@pytest.mark.parametrize("uri", ["ldap://", "ldap://h:0", "ldap://h:x", "http://h", "ldap:/h", "ldaps://[::1]:99999"])
def test_an_address_that_is_none(settings: DirectorySettings, uri: str) -> None:
    with pytest.raises(ConfigurationError):
        open_connection(replace(settings, uris=(uri,)))


CLEAR_TEXT = """
import sys
from pathlib import Path
from enc.settings import DirectorySettings
from enc.directory.connection import open_connection
from enc.terms.errors import ConfigurationError
from tests.support.hostile_server import server
heard = []
with server(lambda peer: heard.append(peer.recv(4096)), "10.9.8.7") as place:
    settings = DirectorySettings(uris=(f"ldap://{place}",), bind_dn="cn=x", bind_password_file=Path(sys.argv[1]))
    try:
        open_connection(settings)
    except ConfigurationError as error:
        print(error, heard in ([], [b""]))
"""


def test_a_password_does_not_cross_the_network_in_clear(tmp_path: Path) -> None:
    """In a network namespace of its own, where 10.9.8.7 is another machine's address as far as we can tell."""
    secret = tmp_path / "password"
    secret.write_text("secret")
    secret.chmod(0o600)
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    script = 'ip link set lo up; ip address add 10.9.8.7/32 dev lo; exec "$@"'
    python = [sys.executable, "-c", CLEAR_TEXT, str(secret)]
    done = subprocess.run([*alone, "sh", "-c", script, "sh", *python], capture_output=True, text=True, check=True)
    assert "unencrypted" in done.stdout, done
    assert done.stdout.endswith("True\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("tls") / "ca")


def secured(make_slapd: SlapdMaker, authority: Authority, name: str, days: int = 30) -> tuple[Slapd, DirectorySettings]:
    certificate, key = authority.issue(name, days=days)
    slapd = make_slapd(options=StartOptions(tls=TlsFiles(certificate, key)))
    settings = config.parse(slapd.configuration()).directory
    tls = TlsSettings(start=True, ca_file=authority.certificate)
    return slapd, replace(settings, timeout=Duration(2), uris=(slapd.ldap_uri,), tls=tls)


def test_start_tls_and_ldaps_with_a_good_certificate(make_slapd: SlapdMaker, authority: Authority) -> None:
    slapd, settings = secured(make_slapd, authority, "127.0.0.1")
    assert reads(settings)
    assert reads(replace(settings, uris=(slapd.directory.home.ldaps_uri,)))


@pytest.mark.parametrize(
    ("name", "days", "reason"), [("elsewhere.example.org", 30, "mismatch|not valid for"), ("127.0.0.1", -1, "expired")]
)
def test_a_certificate_of_another_name_or_time_is_refused(
    make_slapd: SlapdMaker, authority: Authority, name: str, days: int, reason: str
) -> None:
    slapd, settings = secured(make_slapd, authority, name, days)
    for uri in (slapd.ldap_uri, slapd.directory.home.ldaps_uri):
        with pytest.raises(DirectoryUnreachable, match=reason):
            reads(replace(settings, uris=(uri,)))


def test_an_unknown_authority_is_refused(make_slapd: SlapdMaker, authority: Authority, tmp_path: Path) -> None:
    slapd, settings = secured(make_slapd, authority, "127.0.0.1")
    other = TlsSettings(start=True, ca_file=Authority.make(tmp_path / "other").certificate)
    for tls in (other, TlsSettings(start=True)):
        for uri in (slapd.ldap_uri, slapd.directory.home.ldaps_uri):
            with pytest.raises(DirectoryUnreachable, match="not accepted"):
                reads(replace(settings, uris=(uri,), tls=tls))


def test_no_tls_offered_means_no_connection(settings: DirectorySettings, shared: Slapd) -> None:
    wanted = replace(settings, uris=(shared.ldap_uri,), tls=TlsSettings(start=True))
    with pytest.raises(ToolkitError, match="StartTLS"):
        reads(wanted)
