"""The units are accepted by systemd and stay confined; the follower tells it the truth."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from enc.answers.layout import Contact, Layout
from enc.settings.config import parse
from enc.systemd import units
from enc.systemd.notify import Notifier
from enc.terms.errors import UsageError
from git_hooks import systemd
from puppetmaster_self.transaction.steps import units as self_units

ROOT_DIRECTORY = Path(__file__).resolve().parents[2]
PRODUCT = ("enc", "git_hooks", "puppetmaster_self", "files", "templates", "manifests")
ALL = (*units.UNITS, *systemd.UNITS)
EXPOSURE = 1.5
"""At most, on systemd's scale from 0 to 10."""
LESS_CONFINED = {
    "puppetmaster-instances.service": 2.1,  # it removes files of puppetserver's account
    **dict.fromkeys(systemd.UNITS, 2.4),  # they make sandboxes, which takes namespaces and mounts
}
EVERYWHERE = (
    *("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectControlGroups=yes", "RestrictRealtime=yes"),
    "LockPersonality=yes",
)
"""What every unit of ours has, whatever it does."""
SERVICES = (
    *(
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateDevices=yes",
    ),
    *("ProtectClock=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes", "ProtectKernelModules=yes"),
    *("ProtectKernelTunables=yes", "ProtectProc=invisible", "RemoveIPC=yes", "RestrictNamespaces=yes"),
    *("RestrictSUIDSGID=yes", "MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native"),
    *("SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources"),
)
"""What every service of the units' files has besides."""
BESIDES = {
    "puppetmaster-instances.service": {"CapabilityBoundingSet=": "CapabilityBoundingSet=CAP_DAC_OVERRIDE"},
    # It must see the slapd that its ExecStop= ends.
    "puppetmaster-directory.service": {"ProtectProc=invisible": "ProtectProc=default"},
}
LIMITED = ("MemoryMax=", "TasksMax=", "OOMPolicy=")
"""Each unit by its work. puppetmaster-serve has its own with what bounds pushes."""
NETLINK = ("puppetmaster-vendordata.service", "puppetmaster-instances.service")
"""They may ask OpenStack."""
FAMILIES = {"AF_UNIX", "AF_INET", "AF_INET6"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    program = tmp_path / "enc-admin"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    manager = program.with_name("branch-manager")
    manager.symlink_to(program.name)
    other = Path("/etc/other.yaml")
    branches = parse("branches: {store: /srv/store, environments: /srv/environments}").branches
    texts = units.files(program, other) | systemd.files(manager, other, branches, sandboxes=True)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_systemd_accepts_the_units_and_rates_them_confined(written: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd is not installed: apt-get install systemd"
    paths = [written / name for name in ALL]
    timers = [written / name for name in units.TIMERS]
    checked = subprocess.run([analyze, "verify", "--man=no", *paths, *timers], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    for path in paths:
        program = "enc-admin" if path.name in units.UNITS else "branch-manager"
        assert f"ExecStart={written}/{program} --config /etc/other.yaml " in path.read_text()
        rated = subprocess.run(
            [analyze, "security", "--offline=yes", "--no-pager", path], capture_output=True, text=True
        )
        level = re.search(r"Overall exposure level .*?: ([\d.]+)", rated.stdout)
        assert level and float(level[1]) <= LESS_CONFINED.get(path.name, EXPOSURE), rated.stdout[-500:]


def test_units_that_make_a_sandbox_allow_that_and_no_more() -> None:
    def lines(settings: str) -> dict[str, set[str]]:
        read = parse(settings)
        sandboxes = systemd.wanted(read.branches, read.pushes)
        texts = systemd.files(Path("/bin/true"), None, read.branches, sandboxes=sandboxes)
        return {name: set(texts[name].splitlines()) for name in systemd.UNITS}

    plain, sandbox = lines("pushes: {own_checks: off}"), lines("{}")
    assert sandbox == lines("{pushes: {own_checks: off}, branches: {types_program: /usr/bin/puppet}}")
    for name in systemd.UNITS:
        added = {line for line in sandbox[name] - plain[name] if not line.startswith("#")}
        assert added == {
            "RestrictNamespaces=cgroup ipc mnt net pid user uts",
            "MemoryDenyWriteExecute=no",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "SystemCallFilter=@mount capset",
        }
        gone = {"RestrictNamespaces=yes", "MemoryDenyWriteExecute=yes"}
        assert plain[name] - sandbox[name] == gone | {"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"}


def services() -> dict[str, str]:
    """Return every unit of a service that is in this checkout: unit files, templates, and what programs write."""
    found: dict[str, str] = {}
    for path in sorted(file for place in PRODUCT for file in ROOT_DIRECTORY.joinpath(place).rglob("*.service*")):
        found[path.name] = path.read_text()
    written = self_units.texts(("/opt/p/bin/puppetmaster-self",))
    found |= {name: text for name, text in written.items() if "[Service]" in text}
    script = ROOT_DIRECTORY.joinpath("enc/instances/first-run.sh").read_text()
    renewal = script[script.index("keep_certificate()") : script.index(">$unit.service")]
    assert "'[Service]' Type=oneshot" in renewal
    found["puppetmaster-renew.service"] = "\n".join(re.findall(r"'[^'\n]+'|\"[^\"\n]+\"|[^\s'\"]+", renewal)).replace(
        "'", ""
    )
    return found


def test_every_unit_of_ours_is_confined_alike() -> None:
    found = services()
    assert len(found) >= len(ALL) + 5 and set(ALL) <= set(found)
    for name, text in found.items():
        lines = {line.strip() for line in text.splitlines()}
        for wanted in (*EVERYWHERE, *(SERVICES if name in ALL else ())):
            assert BESIDES.get(name, {}).get(wanted, wanted) in lines, (name, wanted)
        for wanted in () if name == "puppetmaster-serve.service" else LIMITED:
            assert any(line.startswith(wanted) for line in lines), (name, wanted)
        families = [set(line.split()) for line in re.findall(r"^RestrictAddressFamilies=(.*)$", text, re.MULTILINE)]
        more = {"AF_NETLINK"} if name in NETLINK or name not in ALL else set()
        assert families == [FAMILIES | more], name


def test_every_unit_that_is_written_stands_in_this_list() -> None:
    """A unit that comes from elsewhere in the code would not be looked at."""
    files = (file for place in PRODUCT for file in ROOT_DIRECTORY.joinpath(place).rglob("*") if file.is_file())
    starts = {file.name for file in files if file.suffix != ".pyc" and b"ExecStart=" in file.read_bytes()}
    assert starts == {*ALL, "authority.service.epp", "client-watch.service.epp", "units.py", "first-run.sh"}


def test_no_account_of_ours_is_in_the_group_that_reads_keys(written: Path) -> None:
    members: dict[str, set[str]] = {}
    for file in ("puppetmaster.conf", "puppetmaster-git.conf"):
        for account, group in re.findall(r"^m (\S+) (\S+)", (written / file).read_text(), re.MULTILINE):
            members.setdefault(group, set()).add(account)
    assert members == {
        "puppetmaster-readers": {"puppet", "puppetmaster", "git", "puppetmaster-vendordata"},
        "puppetmaster-signer": {"puppet", "puppetmaster-collect"},
    }
    for name in ALL:
        text = (written / name).read_text()
        user, group = (re.findall(rf"^{key}=(\S+)", text, re.MULTILINE) for key in ("User", "Group"))
        if user == ["puppet"]:
            continue  # puppetserver's own account
        assert group != ["puppet"], name
        # Only the collector's processes have that group, and no keys are there for them.
        assert ("SupplementaryGroups=puppet" in text) == ("InaccessiblePaths=" in text)
        assert "SupplementaryGroups" not in text or name == "puppetmaster-collect.service"


def test_no_unit_takes_a_directory_that_another_writes(written: Path) -> None:
    """systemd gives all that is below a StateDirectory= to the unit's account, at each start."""
    owners = {}
    for name in ALL:
        text = (written / name).read_text()
        user = re.findall(r"^User=(\S+)", text, re.MULTILINE) or ["root"]
        for line in re.findall(r"^StateDirectory=(.*)$", text, re.MULTILINE):
            for place in line.split():
                assert owners.setdefault(Path(place), user) == user, (place, name)
    for place, user in owners.items():
        above = [other for other in owners if other in place.parents]
        # What is root's own is not given away: systemd looks at the directory itself, and goes no further.
        assert all(owners[other] == ["root"] for other in above), (place, user)
    shared = Path("puppetmaster/instances/journal"), Path("puppetmaster/audit")
    assert not set(shared) & owners.keys(), "root's and the account's that answers OpenStack"


def test_what_is_done_as_root_before_a_service_is_written_here(written: Path) -> None:
    """And in no directory that the account could have put a link into."""
    as_root = re.compile(r"^Exec\w+=[-@:]*[+!](\S+ .*)$", re.MULTILINE)
    found = {name: as_root.findall((written / name).read_text()) for name in ALL}
    assert {name: len(commands) for name, commands in found.items() if commands} == {
        "puppetmaster-vendordata.service": 4,
        "puppetmaster-instances.service": 1,
    }


def test_every_account_of_a_unit_is_made(written: Path) -> None:
    for name in ALL:
        file = "puppetmaster.conf" if name in units.UNITS else "puppetmaster-git.conf"
        accounts = set(re.findall(r"^[ug] (\S+)", (written / file).read_text(), re.MULTILINE))
        assert set(re.findall(r"^(?:User|Group)=(\S+)", (written / name).read_text(), re.MULTILINE)) <= accounts


def test_the_branch_managers_units_write_where_the_configuration_says(written: Path) -> None:
    for name in systemd.UNITS:
        lines = re.findall(r"^ReadWritePaths=(.*)", (written / name).read_text(), re.MULTILINE)
        repository, tokens = "/var/lib/puppetmaster/repository.git", "/var/lib/puppetmaster/tokens"
        assert lines == [f"{repository} /srv/store /srv/environments {tokens}"]


def test_the_revocation_list_is_written_where_the_configuration_says() -> None:
    def places(*files: str) -> list[str]:
        text = units.files(Path("/b"), None, map(Path, files))["puppetmaster-crl.service"]
        return re.findall(r"^ReadWritePaths=(.*)", text, re.MULTILINE)

    assert places("/srv/b/crl.pem", "/srv/a/crl.pem", "/srv/a/other.pem") == ["/srv/a /srv/b"]
    assert len(places()[0].split()) == 3  # where each packaging has it


def test_a_path_that_a_unit_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError):
        units.files(Path("/a b/enc-admin"), None)
    with pytest.raises(UsageError):
        units.files(Path("/b"), None, [Path("/a b/crl.pem")])
    with pytest.raises(UsageError):
        systemd.files(Path("/b"), None, parse("branches: {store: '/a b'}").branches, sandboxes=False)


def test_ready_with_the_lock_alive_with_the_beat_and_silent_when_it_stops(tmp_path: Path) -> None:
    layout, now = Layout(tmp_path), 1_700_000_000
    layout.contact.write_text(Contact(now - 9, now - 9, 100, "current").line())  # another follower's
    notifier = Notifier(layout, 1)
    layout.lock.write_text("1\n")
    assert notifier.state(0) == ""
    layout.lock.write_text(f"{os.getpid()}\n")
    assert notifier.state(0) == "READY=1"
    assert notifier.state(5000).startswith("WATCHDOG=1"), "a large directory takes as long as it takes"
    now = int(time.time())
    layout.contact.write_text(Contact(now - 7, now, 100, "current").line())
    assert re.fullmatch(r"WATCHDOG=1\nSTATUS=LDAP current; answers [789] s old", notifier.state(6000))
    assert notifier.state(6050).startswith("WATCHDOG=1")
    assert notifier.state(7000) == ""
    layout.contact.unlink()
    assert notifier.state(7001) == ""


@pytest.mark.parametrize("jump", [-86400, -3600, 3600, 86400])
def test_a_clock_that_is_set_kills_no_follower_that_works(tmp_path: Path, jump: int) -> None:
    layout = Layout(tmp_path)
    layout.lock.write_text(f"{os.getpid()}\n")
    old = int(time.time())
    layout.contact.write_text(Contact(old, old, 100, "current").line())  # another process's
    notifier = Notifier(layout, 1)
    notifier.state(0)
    assert "not been read completely yet" in notifier.state(1)
    for beat in range(1, 21):
        day = old + 5 * beat + (jump if beat > 10 else 0)
        layout.contact.write_text(Contact(day, day, 100, "current").line())
        assert notifier.state(5.0 * beat).startswith("WATCHDOG=1\nSTATUS=LDAP current"), beat
    assert notifier.state(5.0 * 20 + 61) == "", "and one that hangs is"


def test_messages_arrive_where_systemd_listens(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        code = "from enc.systemd.notify import send; send('READY=1')"
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        assert listening.recv(100) == b"READY=1"
