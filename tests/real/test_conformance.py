"""The recorded answers of the LDAP node terminus, out of a real slapd through our own LDAP reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.directory.embedded_config import StartOptions
from enc.directory.ldap_store import LdapSource
from tests.real.conftest import SlapdMaker
from tests.support.conformance import comparable, differences, is_equal, recordings, wanted_of
from tests.support.following import Following


@pytest.mark.parametrize("place", ["terminus", "terminus-more"])
def test_answers_equal_those_of_the_terminus(place: str, make_slapd: SlapdMaker) -> None:
    chosen = [recording for recording in recordings() if recording.ldif.parent.name == place]
    # Two entries for one name are part of the recording, so slapd must take them.
    slapd = make_slapd(tree=False, ldif=[chosen[0].ldif], options=StartOptions(unique_names=False))
    found = []
    for recording in chosen:
        settings = recording.settings(strict=True, uri=slapd.ldapi_uri)
        with LdapSource(settings) as source:
            found += differences(recording, source, settings)
    assert found == []


@pytest.mark.parametrize("place", ["terminus", "terminus-more"])
def test_the_script_prints_them_from_the_followers_files(place: str, make_slapd: SlapdMaker, tmp_path: Path) -> None:
    recording = next(r for r in recordings() if r.ldif.parent.name == place and not r.nodes)
    slapd = make_slapd(ldif=[recording.ldif], tree=False, options=StartOptions(unique_names=False))
    uris = {"uris": [slapd.ldapi_uri], "bind_dn": None, "bind_password_file": None}
    nodes = {"semantics": "terminus", "strict_compatibility": True}
    following = Following(tmp_path / "f", slapd, directory=uris, nodes=nodes)
    following.start()
    try:
        found = []
        for name, expected in recording.expected.items():
            status, text = following.enc(name)
            wanted = wanted_of(expected, following.settings)
            answer = {"error": text} if status else comparable(text)
            if not is_equal(answer, wanted):
                found.append(f"{name}: {answer} instead of {wanted}")
        assert found == []
    finally:
        following.end()
