"""What a hostile type does while `puppet generate types` loads it: nothing of it leaves the sandbox."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from enc.programs import sandbox
from enc.settings import PushSettings
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.doctor import code
from git_hooks.store import resource_types
from tests.support.bare import Bare, Content
from tests.support.reachable import reachable

PUPPET = Path("/usr/bin/puppet")
SOUND = "Puppet::Type.newtype(:thing) do\n  newparam(:name, namevar: true)\nend\n"
MADE = f"{sandbox.WORK}/environments/types/.resource_types"
"""Where puppet leaves descriptions, as its own code sees it."""


class Site:
    """A repository whose deploys describe types, and a member who pushes one."""

    def __init__(self, base: Path) -> None:
        self.base, self.bare = base, Bare(base)
        self.deployer = Deployer(replace(self.bare.settings, types_program=PUPPET))
        self.secret = self.bare.path / "pusher.key"
        self.secret.write_text("the key")
        self.secret.chmod(0o644)  # whoever may run as anybody may read it: what holds is that it is not there

    def push(self, ruby: str, branch: str = "test", more: str = "# nothing") -> Record:
        lib: Content = {"puppet": {"type": {"thing.rb": f"{ruby}\n{SOUND}"}}, "more.rb": more}
        self.bare.commit(branch, {"modules": {"m": {"lib": lib}}, "manifests": {"site.pp": ""}})
        return self.deployer.deploy(EnvironmentName(branch.replace("/", "_")), Tip(BranchName(branch)), "mia")


@pytest.fixture
def site() -> Iterator[Site]:
    with reachable() as base:
        made = Site(base)
        with made.deployer:
            yield made


def test_it_reads_and_writes_nothing_outside(site: Site) -> None:
    mark = site.base / "mark"
    site.base.chmod(0o777)
    record = site.push(
        f"""
        tries = {{}}
        tries['read'] = (File.read('{site.secret}') rescue 'no')
        tries['sees'] = Dir.glob('/{{etc,home,root,var,run,srv,opt,proc}}/*') - Dir.glob('/var/lib')
        tries['root'] = (File.open('/x', File::WRONLY | File::EXCL | File::CREAT) {{ |f| File.unlink(f) }} rescue 'no')
        tries['usr'] = File.writable?('/usr/lib') ? 'yes' : 'no'
        (File.write('{mark}', 'was here') rescue nil)
        tries['uid'] = [Process.uid, Process.euid, Process.gid, Process.groups].flatten.uniq
        tries['others'] = Process.ppid <= 3
        raise Puppet::Error, 'tells ' + tries.inspect
        """
    )
    assert record.outcome == "failed" and "tells" in record.detail, record
    assert not mark.exists()
    assert "the key" not in record.detail
    wanted = ('"read"=>"no"', '"root"=>"no"', '"usr"=>"no"', '"uid"=>[65534]', '"others"=>true')
    for word in wanted:
        assert word in record.detail, record.detail
    seen = record.detail.partition('"sees"=>[')[2].partition("]")[0].replace('"', "").split(", ")
    places = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/alternatives", "/var/lib", "/opt/puppetlabs")
    assert set(seen) <= set(places)


def test_it_talks_to_nobody(site: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(f"\0{tmp_path}")
        local.listen()
        tcp.setblocking(False)
        local.setblocking(False)
        record = site.push(
            f"""
            require 'socket'
            (TCPSocket.new('127.0.0.1', {tcp.getsockname()[1]}) rescue nil)
            (UNIXSocket.new("\\0{tmp_path}") rescue nil)
            """
        )
        assert record.good, record
        for server in (tcp, local):
            with pytest.raises(BlockingIOError):
                server.accept()


def test_what_it_leaves_behind_is_ended_and_what_it_kills_is_its_own(site: Site) -> None:
    name = f"left-behind-{os.getpid()}"
    with subprocess.Popen(["/bin/sleep", "600"]) as victim:
        try:
            record = site.push(
                f"""
                Signal.trap('TERM', 'IGNORE')
                3.times {{ fork {{ Process.setsid; exec(['/bin/sleep', '{name}'], '9') }} }}
                (Process.kill(9, {victim.pid}) rescue nil)
                """
            )
            assert record.good, record
            assert victim.poll() is None
        finally:
            victim.kill()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ends while it is looked at
            assert not place.read_bytes().startswith(name.encode())


def test_it_is_stopped_at_each_bound() -> None:
    """Of smaller ones, so that it does not take minutes; of time there is enough where another one is to be met."""
    cases = {
        "sleep": (1.0, "did not end within 1 s"),
        "loop { fork { sleep } rescue sleep }": (2.0, "did not end within 2 s"),
        "$stdout.write('x' * 65536) while true": (300.0, "answered with more than"),
        "4.times { fork { a = 'x' * 200_000_000; sleep } }; sleep": (300.0, "more than 256 MB of memory"),
        "a = []; loop { a << 'x' * 50_000_000 }": (300.0, ""),
        f"n = 0; loop {{ File.write(\"{sandbox.WORK}/#{{n += 1}}\", 'x' * 1_000_000) }}": (300.0, ""),
    }
    for ruby, (seconds, wanted) in cases.items():
        bounds = sandbox.Bounds(seconds, memory=256 << 20, work=8 << 20, answer=1 << 20)
        archive = resource_types._packed({"modules/m/lib/puppet/type/thing.rb": f"{ruby}\n{SOUND}".encode()})
        script = "tar -xf - && exec ruby environments/types/modules/m/lib/puppet/type/thing.rb"
        try:
            done = sandbox.run(["/bin/sh", "-c", script], archive, bounds)
            assert not wanted and done.status != 0, (ruby, done)
        except sandbox.OutOfBounds as error:
            assert (wanted or "more than") in str(error), ruby


def test_no_memory_is_had_past_the_bounds() -> None:
    """What belongs to no process, a file system of one's own, in namespaces that anybody may make; nor is a socket past
    the network's namespace.
    """
    program = """
import ctypes, os, socket, threading
os.mkdir("m")
library = ctypes.CDLL(None)
tries = {
    "memfd_create": (b"x", 0), "shmget": (0, 1 << 20, 0o1600), "msgget": (0, 0o1600),
    "unshare": (0x10020000,), "setns": (0, 0), "mount": (b"none", b"m", b"tmpfs", 0, None),
    "socket": (40, 1, 0), "syncfs": (0,),
}
[socket.socket(family, kind) for family, kind in ((1, 1), (2, 1), (2, 2), (10, 1), (16, 3))]
print([name for name, given in tries.items() if getattr(library, name)(*given) >= 0])
one = threading.Thread(target=os.system, args=("echo threads and children are there",))
one.start()
one.join()
"""
    done = sandbox.run(["/usr/bin/python3", "-c", program], b"")
    assert (done.status, sorted(done.answer.split(b"\n"))) == (0, [b"", b"[]", b"threads and children are there"]), done


def test_what_is_shown_can_be_read_and_not_written(site: Site) -> None:
    tree = site.base / "tree"
    tree.mkdir(mode=0o777)
    (tree / "a").write_text("shown")
    (tree / "a").chmod(0o666)
    script = "cat a; pwd; echo x > a; rm -f a; mkdir b; exit 3"
    bounds = sandbox.Bounds(said=20, end=True)
    done = sandbox.run(["/bin/sh", "-c", script], b"", bounds, shown=sandbox.Shown(tree, "/tree"))
    assert (done.status, done.answer) == (3, b"shown/tree\n")
    assert done.said == b"ad-only file system\n"
    assert [one.name for one in tree.iterdir()] == ["a"] and (tree / "a").read_text() == "shown"


@pytest.mark.parametrize(
    "answer",
    [
        b"file.pp 1\nx",
        b"../thing.pp 1\nx",
        b"thing.pp 2\nx",
        b"thing.pp 9999999\n",
        b"thing.pp -1\nx",
        b"thing.pp 1\nxthing.pp 1\ny",
        b"thing.rb 1\nx",
        b"\n",
        b"thing.pp",
        b"\xff" * 500,
    ],
)
def test_what_comes_back_is_descriptions_of_the_trees_own_types(answer: bytes) -> None:
    assert list(resource_types._descriptions(b"thing.pp 2\nxy", frozenset({"thing"}))) == [("thing.pp", b"xy")]
    with pytest.raises(resource_types.TypesFailed):
        list(resource_types._descriptions(answer, frozenset({"thing"})))


def test_a_description_of_another_type_is_not_taken(site: Site) -> None:
    write = f"at_exit {{ File.write('{MADE}/file.pp', 'evil') }}"
    record = site.push(f"Dir.mkdir('{MADE}') rescue nil; {write}")
    assert record.outcome == "failed" and "file.pp" in record.detail, record


def test_what_is_beside_a_type_makes_it_another_one(site: Site) -> None:
    """The same type file, in a tree whose other Ruby changes what it is, must not be shared with the first one's."""
    load = "load File.expand_path('../../more.rb', __dir__)"
    assert site.push(load, "test", "$word = 'good'\n").good
    name = site.bare.live("test") / ".resource_types/thing.pp"
    before = name.read_text()
    poison = f"at_exit {{ File.write('{MADE}/thing.pp', 'evil') }}"
    assert site.push(load, "project/a", poison).good
    assert (site.bare.live("project_a") / ".resource_types/thing.pp").read_text() == "evil"
    assert site.push(load, "production", "$word = 'good'\n").good
    assert (site.bare.live("production") / ".resource_types/thing.pp").read_text() == before


def test_without_a_sandbox_nothing_is_run_and_doctor_says_so(site: Site, tmp_path: Path) -> None:
    def found(bwrap: Path) -> list[tuple[str, str]]:
        return [(one.id, str(one.level)) for one in code.types(PUPPET, bwrap)]

    with pytest.raises(sandbox.NoSandbox, match="bubblewrap is not installed"):
        sandbox.run(["/bin/true"], b"", bwrap=tmp_path / "none")
    refuses = site.base / "bwrap"
    refuses.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    refuses.chmod(0o755)
    with pytest.raises(sandbox.NoSandbox, match="No permissions to create new namespace"):
        sandbox.run(["/bin/true"], b"", bwrap=refuses)
    assert [level for _, level in found(refuses)] == ["fault"]
    assert [level for _, level in found(sandbox.BWRAP)] == ["ok"]
    own = [one for bwrap in (refuses, sandbox.BWRAP) for one in code.own_checks(PushSettings(), bwrap)]
    assert [(one.id, one.level) for one in own] == [("sandbox", "warning"), ("sandbox", "ok")]
    assert list(code.own_checks(PushSettings(own_checks="off"), refuses)) == []


def test_an_account_without_rights_makes_the_same_sandbox() -> None:
    """As the deploying account does it, which is not root."""
    account = pwd.getpwnam("games")
    here = Path(__file__).parents[2]
    python = Path("/usr/bin/python3")
    with reachable() as place:
        shutil.copytree(here / "enc", place / "enc", ignore=shutil.ignore_patterns("__pycache__"))
        program = (
            f"import sys; sys.path.insert(0, {str(place)!r})\n"
            "from enc.programs import sandbox\n"
            "print(sandbox.run(['/bin/sh', '-c', 'id -u; cat'], b'given'))\n"
        )
        done = subprocess.run(
            [str(python if python.exists() else sys.executable), "-B", "-c", program],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=(),
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
    assert "answer=b'65534\\ngiven'" in done.stdout, done
