"""What doctor makes of what systemd says about the services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from enc.doctor import services
from enc.doctor.services import Service, judge, unwritable
from enc.settings import Settings
from enc.settings.config import parse
from enc.systemd import state, units
from enc.systemd.state import UnitState
from enc.terms.errors import ConfigurationError
from git_hooks import systemd
from git_hooks.doctor import services as git_services

UNIT = "puppetmaster-x.service"
RUNS = UnitState(UNIT, "loaded", "active", "running", "enabled", "success", 0, 7, "x", 0, 50.0, stale=False)
DOWN = replace(RUNS, active="inactive", sub="dead", pid=0)
CONFIG = Path("/etc/puppetmaster/config.yaml")


def found(how: UnitState, *, wanted: str = "", timer: bool = False, now: float = 1000.0) -> list[tuple[str, str]]:
    service = Service(UNIT, "nothing is done", "x", wanted=wanted, timer=timer)
    return [(one.level, one.found) for one in judge([service], {UNIT: how}, now)]


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "ok", "as they should be"),
        ({"restarts": 9}, "ok", "as they should be"),
        ({"restarts": 9, "since": 990.0}, "warning", "keeps ending: 9 restarts, the last one 10 s ago"),
        ({"active": "failed", "result": "exit-code", "status": 217}, "fault", "failed (exit status 217)"),
        ({"active": "failed", "result": "start-limit-hit"}, "fault", "failed (start-limit-hit)"),
        ({"active": "activating", "sub": "auto-restart", "result": "signal", "restarts": 3}, "fault", "3 times"),
        ({"active": "activating", "sub": "start"}, "note", "is starting"),
        ({"active": "activating", "sub": "start", "restarts": 2}, "fault", "does not come up after 2 restarts"),
        ({"active": "inactive", "sub": "dead"}, "fault", "is stopped: nothing is done"),
        ({"active": "inactive", "file": "enabled-runtime"}, "fault", "is stopped"),
        ({"active": "inactive", "file": "disabled"}, "warning", "neither runs nor starts at boot"),
        ({"active": "deactivating"}, "note", "is being stopped"),
        ({"load": "masked", "active": "inactive"}, "fault", "is masked"),
        ({"load": "masked"}, "fault", "is masked"),
        ({"load": "bad-setting", "active": "inactive"}, "fault", "cannot load"),
        ({"load": "not-found", "active": "inactive"}, "note", "none of our services is installed"),
    ],
)
def test_how_a_unit_is(changes: dict[str, object], level: str, words: str) -> None:
    ((said, text),) = found(replace(RUNS, **changes))  # type: ignore[arg-type]
    assert said == level and words in text


def test_what_the_configuration_wants_is_missed() -> None:
    assert found(replace(DOWN, load="not-found"), wanted="openstack.cloud")[0][0] == "note"
    assert found(replace(DOWN, file="disabled"), wanted="openstack.cloud")[0][0] == "fault"


def test_what_a_timer_starts_may_be_down_and_not_fail() -> None:
    assert found(replace(DOWN, file="static"), timer=True) == [("ok", f"{UNIT}: as they should be")]
    assert found(replace(DOWN, active="failed", result="timeout"), timer=True)[0][0] == "fault"


def test_a_changed_file_is_told_beside_the_rest() -> None:
    assert [level for level, _ in found(replace(DOWN, stale=True))] == ["warning", "fault"]


def test_what_systemctl_says_is_read() -> None:
    one = "Id=a.service\nLoadState=loaded\nNRestarts=2\nMainPID=7\nActiveEnterTimestampMonotonic=1500000\nUser=\n"
    read = state.read(f"{one}\nLoadState=not-found\nNRestarts=[not set]\nNeedDaemonReload=yes\n", ["a.service", "b"])
    assert read is not None
    assert (read["a.service"].restarts, read["a.service"].pid, read["a.service"].since) == (2, 7, 1.5)
    assert (read["b"].load, read["b"].restarts, read["b"].stale) == ("not-found", 0, True)
    assert state.read("Failed to connect to bus", ["a", "b"]) is None


def test_every_unit_that_is_shipped_is_looked_at() -> None:
    looked_at = {one.unit for one in services.services(Settings(), CONFIG)}
    assert looked_at == {*units.UNITS, *units.TIMERS}
    assert {one.unit for one in git_services.services(Settings(), CONFIG)} == set(systemd.UNITS)


def test_what_is_configured_is_read_and_wanted() -> None:
    text = "openstack: {cloud: site}\ninstances: {agent: {server: a.example, ca_file: /a.pem}}\n"
    vendordata = services.services(parse(text), CONFIG)[3]
    assert vendordata.wanted == "openstack.cloud" and Path("/a.pem") in vendordata.reads
    assert services.services(Settings(), CONFIG)[3].reads == ()


def test_who_cannot_write_is_told_and_what_is_not_there_is_not(tmp_path: Path) -> None:
    assert unwritable([tmp_path, tmp_path / "nothing", tmp_path / "nothing/below"]) == ({}, {})
    readonly, closed = unwritable([Path("/proc/version"), Path("/sys/kernel")])
    assert readonly.keys() | closed.keys() <= {"/proc/version", "/sys/kernel"}


def test_puppetserver_needs_no_key_of_the_authority_to_fetch_its_list() -> None:
    """Where the authority is apart it must not have it (docs/trust-domains.md)."""
    server = {"name": "central", "url": "https://ca:8141"}
    server |= {"ca_file": "/ca.pem", "certificate_file": "/own/c.pem", "key_file": "/own/k.pem"}
    for more, files in (
        ({}, ["/ca.pem", "/own/c.pem", "/own/k.pem"]),
        ({"crl_certificate_file": "/ssl/c.pem", "crl_key_file": "/ssl/k.pem"}, ["/ca.pem", "/ssl/c.pem", "/ssl/k.pem"]),
    ):
        text = yaml.safe_dump({"authorities": {"servers": [server], "crl_files": ["/ssl/crl.pem"], **more}})
        (crl,) = (one for one in services.services(parse(text), CONFIG) if one.unit == "puppetmaster-crl.service")
        assert [str(file) for file in crl.reads] == [str(CONFIG), *files]
    with pytest.raises(ConfigurationError, match="crl_key_file"):
        parse(yaml.safe_dump({"authorities": {"servers": [server], "crl_certificate_file": "/ssl/c.pem"}}))
