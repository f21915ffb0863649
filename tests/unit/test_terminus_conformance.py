"""What the LDAP node terminus answered, and what we answer from the same records."""

from __future__ import annotations

import pytest

from tests.support.conformance import Recording, differences, recordings
from tests.support.memory import MemorySource, read_ldif

UNUSABLE = frozenset({"classes", "odd", "reserved"})
"""Entries that only strict compatibility answers for: names that Puppet cannot use stop them otherwise."""


def _by_name(recording: Recording) -> str:
    return recording.name


@pytest.mark.parametrize("recording", recordings(), ids=_by_name)
def test_strict_compatibility_is_equal(recording: Recording) -> None:
    settings = recording.settings(strict=True)
    assert differences(recording, MemorySource(read_ldif(recording.ldif), settings), settings) == []


# In "several-attributes" serial numbers are classes, which only strict compatibility takes.
@pytest.mark.parametrize("recording", [r for r in recordings() if "class_attributes" not in r.nodes], ids=_by_name)
def test_without_it_only_the_form_of_class_names_differs(recording: Recording) -> None:
    settings = recording.settings(strict=False)
    found = differences(recording, MemorySource(read_ldif(recording.ldif), settings), settings)
    assert [line for line in found if line.split(": ")[1] not in UNUSABLE] == []


def test_the_first_recording_is_whole() -> None:
    assert len(recordings()[0].expected) == 148
