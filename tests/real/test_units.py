"""Every unit that we ship runs under a real systemd, all of them on one machine, and does its work there.

The machine is set up by the commands of the documentation (tests/support/unit_site.py), once for this file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.systemd import units
from git_hooks import systemd
from tests.support.machines import needs_root
from tests.support.unit_site import SERVICES, TIMERS, UnitSite

ID = "5f6a1c3e-0b5d-4c58-9a51-3d7a4f0a7c11"
WEB1 = "web-1.red.example.org"
RUNS = "/var/lib/puppetmaster/instances/runs"
REPORTS = "/var/lib/puppetserver/reports"
REPORT = """--- !ruby/object:Puppet::Transaction::Report
host: %s
time: '2026-11-30T10:00:00.000000000+00:00'
status: changed
noop: false
configuration_version: 1
"""


@pytest.fixture(scope="module")
def site() -> Iterator[UnitSite]:
    needs_root()
    with tempfile.TemporaryDirectory(prefix="pm-units-") as place:
        made = UnitSite(Path(place) / "site")
        try:
            made.start()
            yield made
        finally:
            made.stop()


def state(site: UnitSite, unit: str, name: str) -> str:
    return site.sh(f"systemctl show --value --property={name} {unit}").strip()


def report(site: UnitSite, certname: str, name: str) -> None:
    """Let puppetserver have stored a report."""
    site.machine.put("/srv/report", REPORT % certname)
    site.sh(
        f"install -d -o puppet -g puppet -m 0750 {REPORTS} {REPORTS}/{certname}; "
        f"install -o puppet -g puppet -m 0640 /srv/report {REPORTS}/{certname}/{name}.yaml"
    )


def ask_as_nova(site: UnitSite, hostname: str, instance: str) -> tuple[int, str]:
    body = {"project-id": "0123456789abcdef0123456789abcdef", "instance-id": instance, "hostname": hostname}
    asked = f"curl -s -w '\\n%{{http_code}}' -H 'X-Auth-Token: {site.nova}' -d '{json.dumps(body)}'"
    answer, _, status = site.sh(f"{asked} http://127.0.0.1:8419/").rpartition("\n")
    return int(status), answer


def test_all_of_them_run(site: UnitSite) -> None:
    shipped = {*units.UNITS, *systemd.UNITS, *units.TIMERS}
    assert shipped == {*(f"{one}.service" for one in (*SERVICES, *TIMERS)), *(f"{one}.timer" for one in TIMERS)}
    for unit in (*(f"{one}.service" for one in SERVICES), *(f"{one}.timer" for one in TIMERS)):
        assert state(site, unit, "ActiveState") == "active", site.journal(unit)
        assert state(site, unit, "NRestarts") in ("0", "[not set]", ""), site.journal(unit)
    for one in TIMERS:
        site.sh(f"systemctl start {one}.service")
        assert state(site, f"{one}.service", "Result") == "success"


def test_nova_is_answered_and_an_edit_reaches_enc(site: UnitSite) -> None:
    status, answer = ask_as_nova(site, "web-1", ID)
    assert (status, "cloud-boothook" in answer) == (200, True), site.journal("puppetmaster-vendordata")
    assert ask_as_nova(site, "web-1", ID)[0] == 200
    site.until(lambda: site.try_(f"enc {WEB1}").status == 0, "the follower has written its answer", timeout=20)
    assert "project_red" in site.sh(f"enc {WEB1}")


def test_what_one_has_begun_another_finishes(site: UnitSite) -> None:
    """Root, root in its unit and OpenStack's account work on one journal and one trail, in whatever order."""
    site.sh("enc-admin instance create web-2 --project red --reason 'by hand' >/dev/null")
    site.sh("systemctl stop played-puppetserver")
    site.sh("enc-admin instance delete web-2.red.example.org --reason 'by hand'", status=1)
    asked = "setpriv --reuid puppetmaster-vendordata --regid puppetmaster-vendordata --init-groups"
    seen = json.loads(site.sh(f"{asked} $(command -v enc-admin) instance list --unfinished --json"))
    assert [one["certname"] for one in seen] == ["web-2.red.example.org"]
    assert ask_as_nova(site, "web-3", ID)[0] == 503
    site.play_puppetserver()
    site.sh("systemctl start puppetmaster-instances.service")
    assert json.loads(site.sh("enc-admin instance list --unfinished --json")) == []
    # Its names share a lock with others': root made it, and the account must be able to wait for it.
    assert site.sh("find /var/lib/puppetmaster/instances/journal -name '*.lock' ! -perm 0660") == ""
    assert ask_as_nova(site, "web-3", ID)[0] == 200
    assert "OpenStack starts server" in site.sh("enc-admin node history web-3.red.example.org --json")


def test_reports_are_noted_whoever_started_last(site: UnitSite) -> None:
    report(site, WEB1, "1")
    site.until(lambda: bool(site.try_(f"ls {RUNS}/{WEB1}.json").status == 0), "the first report is noted")
    site.sh("systemctl restart puppetmaster-vendordata; systemctl start puppetmaster-instances.service")
    site.sh(f"stat -c %U {RUNS} | grep -x puppetmaster-collect")
    before = site.sh(f"cat {RUNS}/{WEB1}.json")
    report(site, WEB1, "2")
    site.until(lambda: site.sh(f"cat {RUNS}/{WEB1}.json") != before, "the second report is noted")
    site.sh("systemctl restart puppetmaster-collect")
    assert "denied" not in site.journal("puppetmaster-collect")


def test_an_instance_whose_server_is_gone_goes_with_all_that_is_known_of_it(site: UnitSite) -> None:
    """Its unit asks OpenStack, and removes what puppetserver and the collector have written."""
    place = "/etc/systemd/system/puppetmaster-instances.service.d/openstack.conf"
    site.sh(f"sed -i 's/--delete-missing/& --older-than 0s/' {place}; systemctl daemon-reload")
    site.sh("systemctl start puppetmaster-instances.service")
    assert site.try_(f"enc-admin node show {WEB1}").status != 0, site.journal("puppetmaster-instances")
    assert site.sh(f"ls {REPORTS} {RUNS}").split() == [f"{REPORTS}:", f"{RUNS}:"]
    site.sh(f"sed -i 's/ --older-than 0s//' {place}; systemctl daemon-reload")


def test_a_push_is_live_and_a_projects_branch_is_made(site: UnitSite) -> None:
    live = "/etc/puppet/code/environments"
    site.until(lambda: site.try_(f"test -e {live}/project_red").status == 0, "the upkeep has made red's branch")
    said = site.sh(
        "cd /srv && git clone -q -b test http://alice:secret-of-alice@127.0.0.1:8418/repository.git work 2>&1; cd work; "
        "git config user.name a; git config user.email a@example.org; echo '# pushed' >manifests/site.pp; "
        "git commit -qam pushed; git push 2>&1"
    )
    assert site.sh(f"cat {live}/test/manifests/site.pp") == "# pushed\n", said
    site.sh("branch-manager gc && branch-manager verify-store")
