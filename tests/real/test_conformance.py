"""The recorded answers of the LDAP node terminus, out of a real slapd through our own LDAP reading."""

from __future__ import annotations

import pytest

from enc.directory.embedded_config import StartOptions
from enc.directory.ldap_store import LdapSource
from tests.real.conftest import SlapdMaker
from tests.support.conformance import differences, recordings


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
