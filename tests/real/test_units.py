"""Every unit that we ship runs under a real systemd, all of them on one machine, and does its work there.

The machine is set up by the commands of the documentation (tests/support/unit_site.py), once for this file. People work
on it for some seconds; with UNITS_MINUTES=60 for an hour (`pytest tests/real/test_units.py -k 'run or busy' -s`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from enc.systemd import units
from git_hooks import systemd
from puppetmaster_quickstart.whole_instance import ADDRESS
from tests.support import looks
from tests.support.busy_site import Busy
from tests.support.machines import needs_root
from tests.support.pages import block
from tests.support.unit_site import ALICE, LOOKS, PASSWORD, REPORT, REPORTS, RUNS, SERVICES, TIMERS, UnitSite

ID = "5f6a1c3e-0b5d-4c58-9a51-3d7a4f0a7c11"
WEB1 = "web-1.red.example.org"


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
    site.until(lambda: site.try_(f"enc {WEB1}").status == 0, "the follower has written its answer")
    assert "project_red" in site.sh(f"enc {WEB1}")


def test_what_one_has_begun_another_finishes(site: UnitSite) -> None:
    """Root, root in its unit and OpenStack's account work on one journal and one trail, in whatever order."""
    site.sh("enc-admin instance create web-2 --project red --reason 'by hand' >/dev/null")
    site.sh("systemctl stop played-puppetserver")
    site.sh("enc-admin instance delete web-2.red.example.org --reason 'by hand'", status=1)
    asked = "setpriv --reuid puppetmaster-vendordata --regid puppetmaster-vendordata --init-groups"
    seen = json.loads(site.sh(f"{asked} $(command -v enc-admin) instance list --unfinished --json"))
    assert [one["certname"] for one in seen["operations"]] == ["web-2.red.example.org"]
    assert ask_as_nova(site, "web-3", ID)[0] == 503
    site.play_puppetserver()
    site.sh("systemctl start puppetmaster-instances.service")
    assert json.loads(site.sh("enc-admin instance list --unfinished --json"))["operations"] == []
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
    assert site.sh(f"ls {REPORTS}; ls {RUNS}") == ""
    site.sh(f"sed -i 's/ --older-than 0s//' {place}; systemctl daemon-reload")


def test_a_push_is_live_and_a_projects_branch_is_made(site: UnitSite) -> None:
    live = "/etc/puppet/code/environments"
    site.until(lambda: site.try_(f"test -e {live}/project_red").status == 0, "the upkeep has made red's branch")
    said = site.sh(
        "cd /srv && git clone -q -b test http://alice:secret-of-alice@127.0.0.1:8418/repository.git work; cd work; "
        "git config user.name a; git config user.email a@example.org; echo '# pushed' >manifests/site.pp; "
        "git commit -qam pushed; git push 2>&1"
    )
    assert site.sh(f"cat {live}/test/manifests/site.pp") == "# pushed\n", said
    site.sh("branch-manager gc && branch-manager verify-store")


def test_a_branch_is_tried_and_code_for_the_master_is_approved(site: UnitSite) -> None:
    """What the pages about pipelines, trials and review tell to do with a branch, each with one that was pushed."""
    pushed = """enc-admin node add try.red.example.org --project red --reason x; cd /srv/work
      git push -q origin HEAD:topic/red/fix; place=modules/m/lib/puppet/functions/m; mkdir -p $place
      echo "Puppet::Functions.create_function(:'m::sum') { }" | tee /srv/sum.rb >$place/sum.rb
      git checkout -q -b sum; git add .; git commit -qm sum; git push -q origin HEAD:review/red/sum
      git checkout -q test"""
    site.sh(pushed)
    follow = site.reader.follow
    given = {"$CI_COMMIT_SHA": "$(git -C /srv/work rev-parse test)", "project_demo": "project_red__fix"}
    follow("branch-manager.md", "branch-manager wait", given)
    given = {"web1.example.org": "try.red.example.org", "topic/alpha/fix": "topic/red/fix"}
    given |= {"--project alpha --named 'web-*'": "--project red --named 'try*'", "--nodes 12": "--nodes 1"}
    follow("editing.md", "enc-admin node try", given)
    site.sh("enc-admin node try try.red.example.org --end --reason x")
    given = {
        "review/alpha/sum  ": "review/red/sum || test $? = 4  ",
        "4be1d2a0c9…": "$(git -C /srv/work rev-parse sum)",
        "--file sum.rb": "--file /srv/sum.rb",
        "2027-06-30": "$(date -d '+1 month' +%F)",
    }
    follow("pushing.md", "branch-manager audit-code", given)


def test_a_branchs_own_checks_run_in_the_sandbox_that_the_units_allow(site: UnitSite) -> None:
    script = "test ! -e bad || { id -u; ls /var/lib/puppetmaster; exit 3; }"
    text = json.dumps({"checks": [{"name": "own", "command": ["sh", "-c", script]}]})
    site.machine.put("/srv/own.json", text)
    said = site.sh(
        """cd /srv/work && git checkout -q test && git pull -q && cp /srv/own.json .puppetmaster.yaml
        git add . && git commit -qm checks && git push 2>&1
        echo good >good && git add good && git commit -qm good && git push 2>&1
        echo bad >bad && git add bad && git commit -qm bad && ! git push 2>&1
        git reset -q --hard origin/test && git rm -q .puppetmaster.yaml && git commit -qm 'no checks' && git push -q"""
    )
    assert "1 check of the branch's own passed: its own check own" in said, said
    assert "its own check own failed with status 3" in said and "| 65534" in said, said
    assert "cannot access '/var/lib/puppetmaster'" in said and "not checked" not in said, said


def test_another_machine_reads_the_directory_over_tls_only(site: UnitSite, tmp_path: Path) -> None:
    given = {"CERTIFICATE": "/srv/stubs/directory.pem", "KEY": "/srv/stubs/directory.key", "192.0.2.0": "10.79.0.0"}
    said = site.reader.follow("directory.md", "install -o puppetmaster-directory", given)
    assert "ldaps://0.0.0.0:636" in said
    own = site.machine.own
    document = yaml.safe_load((own / "etc/puppetmaster/config.yaml").read_text())["directory"]
    document |= {"uris": [f"ldaps://{ADDRESS}"], "tls": {"ca_file": str(own / "srv/stubs/ca.pem")}}
    document |= {"bind_password_file": str(own / "etc/puppetmaster/ldap.secret")}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"directory": document}))
    asked = site.elsewhere(sys.executable, "-m", "enc.cli", "--config", config, "project", "list", "--json")
    assert "red" in asked.stdout, asked
    port = json.loads((own / "var/lib/puppetmaster/directory/state.json").read_text())["ldap"]
    who = ("-x", "-D", document["bind_dn"], "-w", (own / "etc/puppetmaster/ldap.secret").read_text().strip())
    assert site.elsewhere("ldapwhoami", *who, "-H", f"ldaps://{ADDRESS}", "-o", "TLS_REQCERT=never").returncode == 0
    for plain in (f"ldap://{ADDRESS}:636", f"ldap://{ADDRESS}:{port}"):
        asked = site.elsewhere("ldapwhoami", *who, "-H", plain, "-o", "nettimeout=5")
        assert "Can't contact LDAP server" in asked.stderr, asked


def test_a_busy_site_goes_well_and_its_doctors_are_quiet(site: UnitSite) -> None:
    """Edits, pushes, instances and what agents ask, and the timers; afterwards everything is as it was asked for."""
    minutes = float(os.environ.get("UNITS_MINUTES", "0.1"))
    busy = Busy(site)
    busy.run(minutes, pause=min(5.0, minutes / 2), between=max(10.0, min(60.0, minutes * 20)))
    wrong = busy.wrong()
    print(busy.words())
    assert wrong == [], busy.words()


DOCTORS = ("enc-admin", "branch-manager")
UNITS = tuple(f"{one}.service" for one in SERVICES)
WRITTEN = {
    "puppetmaster-directory.service": "/var/lib/puppetmaster/directory/run",
    "puppetmaster-follow.service": "/var/lib/puppetmaster/answers/nodes",
    "puppetmaster-collect.service": RUNS,
    "puppetmaster-vendordata.service": "/var/lib/puppetmaster/audit/trail.jsonl",
    "puppetmaster-hooks.service": "/var/lib/puppetmaster/store/work",
    "puppetmaster-serve.service": "/var/lib/puppetmaster/tokens",
    "puppetmaster-crl.service": "/var/lib/puppet/ssl",
}
"""A place that a service must write, and whose it is made by the units or the documentation."""
FOLLOW, HIERA = "puppetmaster-follow.service", "/var/lib/puppetmaster/answers/hiera"
READ = {
    "puppetmaster-follow.service": "/etc/puppetmaster/ldap.secret",
    "puppetmaster-collect.service": "/etc/puppetmaster/signer.secret",
    "puppetmaster-vendordata.service": "/etc/puppetmaster/ca.pem",
    "puppetmaster-hooks.service": "/etc/puppetmaster/deploy/puppet.example.org-deploy.key",
    "puppetmaster-serve.service": "/etc/puppetmaster/deploy/ca.pem",
    "puppetmaster-crl.service": "/etc/puppetmaster/authority/instances.key",
}


def told(site: UnitSite, check: str) -> dict[str, list[str]]:
    """What both doctors find that is not well: unit → texts."""
    said = [one for program in DOCTORS for one in site.doctor(program).get(check, [])]
    return {unit: found for unit in (*UNITS, *WRITTEN) if (found := [text for _, text in said if unit in text])}


def test_doctor_is_quiet_where_all_is_well(site: UnitSite) -> None:
    # The directory was started anew a moment ago, and the follower tries again after a pause.
    site.until(lambda: "follower" not in site.doctor(), "the follower is connected again")
    for program in DOCTORS:
        found = site.doctor(program)
        assert found.keys() <= {"certificate-ends"}, found  # those of this test do not live long


def test_a_service_that_does_not_run_is_found(site: UnitSite) -> None:
    """Stopped, masked by a link, ending again and again: each of them, by its doctor, with what is not done."""
    stopped, masked, looping = UNITS[1::3], UNITS[2::3], UNITS[3::3]
    directory = "/etc/systemd/system"
    for unit in masked:
        site.sh(f"systemctl stop {unit}; mv {directory}/{unit} /srv/; ln -s /dev/null {directory}/{unit}")
    for unit in looping:
        dropped = f"{directory}/{unit}.d/broken.conf"
        site.sh(f"mkdir -p {directory}/{unit}.d; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >{dropped}")
    site.sh(f"systemctl daemon-reload; systemctl stop {' '.join(stopped)} puppetmaster-crl.timer")
    site.sh(f"systemctl --no-block restart {' '.join(looping)}")
    for unit in looping:
        site.until(lambda unit=unit: state(site, unit, "NRestarts") != "0", "it is started again")  # type: ignore[misc]
    found = {unit: " ".join(texts) for unit, texts in told(site, "units").items()}
    assert all("is stopped" in found[unit] for unit in stopped), found
    assert all("is masked" in found[unit] for unit in masked), found
    assert all("failed (exit status 1)" in found[unit] or "restarts" in found[unit] for unit in looping), found
    for unit in masked:
        site.sh(f"mv /srv/{unit} {directory}/{unit}")
    for unit in looping:
        site.sh(f"rm {directory}/{unit}.d/broken.conf")
    site.sh(f"systemctl daemon-reload; systemctl restart {' '.join(UNITS[1:])}; systemctl reset-failed")
    assert [text for _, text in site.doctor()["units"]] == [
        "puppetmaster-crl.timer is stopped: a revoked certificate is still accepted here"
    ]
    site.sh("systemctl start puppetmaster-crl.timer")


def test_a_service_that_cannot_write_or_read_is_found(site: UnitSite) -> None:
    places = (*WRITTEN.values(), *READ.values())
    owners = {place: site.sh(f"stat -c '%u:%g %a' {place}").split() for place in places}
    for place in places:
        site.sh(f"chown root:root {place}; chmod go= {place}")
    # Only the service sees this one: for all others, the place can be written.
    drop_in = f"/etc/systemd/system/{FOLLOW}.d/narrow.conf"
    site.sh(f"mkdir -p $(dirname {drop_in}); printf '[Service]\\nReadOnlyPaths={HIERA}\\n' >{drop_in}")
    site.sh(f"systemctl daemon-reload; systemctl restart {FOLLOW}", status=None)
    found = told(site, "units-files")
    for unit, place in WRITTEN.items():
        assert any(f"cannot write {place}: Permission denied" in text for text in found[unit]), (unit, found)
    for unit, place in READ.items():
        assert any(f"cannot read {place}: Permission denied" in text for text in found[unit]), (unit, found)
    for place, (owner, mode) in owners.items():
        site.sh(f"chown {owner} {place}; chmod {mode} {place}")
    site.sh(f"systemctl restart {FOLLOW}")
    assert told(site, "units-files") == {
        FOLLOW: [f"{FOLLOW}: puppetmaster cannot write {HIERA}: Read-only file system"]
    }
    site.sh(f"rm {drop_in}; systemctl daemon-reload; systemctl restart {FOLLOW}")


def test_a_port_below_1024_and_a_forge(site: UnitSite) -> None:
    """docs/transport.md's drop-in; then docs/mirror.md: fetched without a webhook, and looked at by root's doctor."""
    site.sh(
        "install -o git -m 0400 /srv/stubs/server.pem /srv/stubs/server.key -t /etc/puppetmaster/deploy; "
        "cat /srv/stubs/ca.pem >>/etc/ssl/certs/ca-certificates.crt; "
        "printf 'https://mirror:a%%20token@localhost:8140\\n' >/srv/c; printf secret >/srv/s; "
        "git clone -q --bare /srv/work /srv/stubs/forge.git; cd /srv/work; "
        "echo '# at the forge' >manifests/site.pp; git commit -qam forge; git push -q /srv/stubs/forge.git HEAD:test; "
        # Nodes are in its environment.
        "git fetch -q; git push -q /srv/stubs/forge.git refs/remotes/origin/project/red:refs/heads/project/red"
    )
    document = yaml.safe_load(site.sh("cat /etc/puppetmaster/config.yaml"))
    place = "/etc/puppetmaster/deploy"
    document["branches"]["transport"] = {
        "listen": "0.0.0.0:443",
        "certificate_file": f"{place}/server.pem",
        "key_file": f"{place}/server.key",
    }
    site.machine.put("/etc/puppetmaster/config.yaml", yaml.safe_dump(document))
    site.sh("systemctl restart puppetmaster-serve", status=None)
    assert "0.0.0.0:443: this account may not listen there" in site.journal("puppetmaster-serve")
    site.reader.follow("transport.md", "install -d /etc/systemd/system/puppetmaster-serve.service.d")
    assert site.sh("curl -sS https://localhost/healthz") == "ok\n"
    the_id = "$(branch-manager token list --for alice --json | grep -o '\"id\": *\"[^\"]*' | cut -d'\"' -f4)"
    given = {"bob": "alice", "revoke ID ": f"revoke {the_id} "}
    site.reader.follow("transport.md", "branch-manager token create", given)
    mirror = yaml.safe_load(block("mirror.md", "branches:", "yaml").text)["branches"]["mirror"]
    mirror |= {"forge": "gitea", "url": "https://localhost:8140/forge.git"}
    document["branches"]["mirror"] = {name: value for name, value in mirror.items() if name not in ("api", "project")}
    site.machine.put("/etc/puppetmaster/config.yaml", yaml.safe_dump(document))
    # What was read at the forge is laid out while the page goes on; somebody who reads it needs longer.
    quiet = "timeout 150 sh -c 'until branch-manager doctor; do sleep 1; done'\n"
    given = {"CREDENTIALS": "/srv/c", "SECRET": "/srv/s", "TOKEN": "/srv/s", "branch-manager doctor\n": quiet}
    site.reader.follow("mirror.md", "install -o git -m 0600 CREDENTIALS", given)
    live = "/etc/puppet/code/environments/test/manifests/site.pp"
    site.machine.put("/etc/puppetmaster/old-objects", "")
    site.reader.follow("mirror.md", "runuser -u git -- git --git-dir=")
    site.until(lambda: "at the forge" in site.sh(f"cat {live}"), "what the forge has is live")
    look = "stat -c '%i %u %g %a %Y' /etc/puppetmaster/forge.credentials"
    before = site.sh(look)
    assert "mirror-url" not in site.doctor("branch-manager")
    assert site.sh(look) == before


def test_the_readmes_tour_and_the_pages_about_editing(site: UnitSite) -> None:
    follow = site.reader.follow
    awaited = "timeout 120 sh -c 'until enc web-1.example.org; do sleep 0.1; done' "
    there = ("enc-admin directory start ", "install -D -t /etc/puppetmaster ", "ldapadd …  ", "enc-admin follow ")
    given = dict.fromkeys(there, "true ")
    said = follow("README.md", "enc-admin directory start", given | {"enc web-1.example.org ": awaited})
    assert '"role::web": {"port": 8080}' in said, said
    site.sh(f"test $(stat -c %a {site.reader.left}/user-data) = 600")
    follow("instances.md", "enc-admin instance create")
    for who in ("anna", "mia"):
        follow("directory.md", "ldapi=", {ALICE: PASSWORD.format("alice"), "alice": who})
    newest = """$(enc-admin node history web1.example.org --json | grep -o '"id": *"[^"]*' | tail -1 | cut -d'"' -f4)"""
    follow("editing.md", "enc-admin project add alpha", {"20250101-120000-a1b2c3": newest})
    site.sh(
        "for node in web-3 web-4; do enc-admin node add $node.example.org --project alpha --reason x; done; "
        "enc-admin project add blue --admin alice --reason x; "
        "enc-admin node add web1.red.example.org --project red --reason x"
    )
    asks = "enc-admin node set --project alpha --named 'web-*' --class ntp --reason \"T123: time\"             # asks"
    follow("editing.md", "enc-admin node set --project", {asks: "true # asks", "--nodes 12": "--nodes 2"})
    follow("editing.md", "enc-admin project set blue", {"…": "--reason x"})
    follow("self-master.md", "enc-admin node set")


def test_a_look_changes_nothing(site: UnitSite) -> None:
    """Everything that only looks, as root; whose what is, when it was written, and what lies beside it, is the same."""
    site.sh("enc-admin instance create web-4 --project red --reason 'to look at' >/dev/null 2>&1")
    site.sh(f"systemctl stop {' '.join(f'{one}.timer' for one in TIMERS)} {' '.join(UNITS[1:])}")
    shutil.copy(Path(looks.__file__), site.machine.own / "srv/looks.py")
    site.machine.put("/srv/looks.sh", LOOKS)
    said = site.sh("bash /srv/looks.sh", status=None, timeout=300)
    assert [line for line in said.splitlines() if not line.startswith("same ")] == []
    assert len(said.splitlines()) > 50


def test_a_backup_is_brought_back(site: UnitSite) -> None:
    site.sh("mkdir /etc/cron.d")  # cron's package makes it
    site.reader.follow("operation.md", "install -d -o puppetmaster-directory -m 0700 /var/backups/puppetmaster")
    (line,) = site.sh("cat /etc/cron.d/puppetmaster-directory").splitlines()
    account, command = line.split(maxsplit=6)[5:]
    command = command.replace("\\%", "%")
    site.sh(f"runuser -u {account} -- sh -c '{command}'")
    site.sh("enc-admin project add late --admin alice --reason 'after the backup'")
    given = {"directory-1.ldif": site.sh("ls /var/backups/puppetmaster").strip()}
    site.reader.follow("operation.md", "systemctl stop puppetmaster-directory\n", given)
    assert "Failed with result" not in site.journal("puppetmaster-directory")
    assert site.try_("enc-admin project show late").status != 0
    assert "red" in site.sh("enc-admin project list")
